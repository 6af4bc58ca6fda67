//! The control host: Config -> build -> App -> run -> drain.
