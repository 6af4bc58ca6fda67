//! Every effect of a run: what it can see beyond its item, and what it can do beyond answering.
//!
//! All that a guest imports ends in one trait, [`Effects`], and nothing reaches a guest past it. [`Live`] is the
//! implementation that runs use: by default it is a function of the job and the run alone, so that a run is
//! deterministic. Recording a run is a wrapper around it, and replaying one an implementation that reads.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use async_trait::async_trait;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    Clock, Job, Run,
    journal::Journal,
    llm::{ChatRequest, DeniedLlm, EmbedRequest, GenerateRequest, Llm, types},
};

/// What a run can see and do. The runtime asks one run at a time.
#[async_trait]
pub trait Effects: Send {
    /// A new run begins: nothing of the one before remains.
    fn begin(&mut self, job: &Arc<Job>, run: &Run);

    /// The monotonic clock, in nanoseconds since the run's beginning.
    fn monotonic(&mut self) -> u64;

    /// The wall clock, since the Unix epoch.
    fn wall(&mut self) -> Duration;

    /// The monotonic clock without it being a reading that the guest made.
    fn elapsed(&self) -> u64;

    /// Waits until the monotonic clock stands at `deadline`.
    async fn wait(&mut self, deadline: u64);

    /// Fills `bytes` with randomness.
    fn random(&mut self, bytes: &mut [u8]);

    /// The value of an option.
    fn option(&mut self, key: &str) -> Option<String>;

    /// All options.
    fn options(&mut self) -> Vec<(String, String)>;

    /// Takes what the guest logs.
    fn log(&mut self, bytes: &[u8]);

    /// Where the guest's standard output and error go. They end in the same log.
    fn stdio(&mut self) -> Journal;

    /// Iteration, worker place and seed of the run.
    fn run(&mut self) -> RunInfo;

    /// The log so far, which the run's report takes with it.
    fn take_log(&mut self) -> bytes::Bytes;

    /// A turn of a conversation with a model.
    async fn chat(&mut self, request: ChatRequest) -> Result<types::Answer, types::Error>;

    /// The same, piece by piece.
    async fn chat_streaming(&mut self, request: ChatRequest) -> Result<Box<dyn crate::llm::Stream>, types::Error>;

    /// The continuation of a prompt.
    async fn generate(&mut self, request: GenerateRequest) -> Result<types::Answer, types::Error>;

    /// The same, piece by piece.
    async fn generate_streaming(
        &mut self,
        request: GenerateRequest,
    ) -> Result<Box<dyn crate::llm::Stream>, types::Error>;

    /// Vectors for texts.
    async fn embed(&mut self, request: EmbedRequest) -> Result<types::Embeddings, types::Error>;

    /// The models that the run may use.
    async fn models(&mut self) -> Result<Vec<types::Model>, types::Error>;
}

/// What a run may know of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunInfo {
    /// From 0.
    pub iteration: u32,
    /// From 0.
    pub place: u32,
    /// Made by [`run_seed`](crate::seed::run_seed).
    pub seed: u64,
}

/// How far a reading moves the virtual clock: 1 us.
const READING_NS: u64 = 1_000;

/// The effects of a run as it happens.
pub struct Live {
    job: Arc<Job>,
    run: RunInfo,
    /// The virtual clock, in nanoseconds since the run's beginning.
    virtual_ns: u64,
    begun: Instant,
    /// Made when first asked for: most runs ask for none.
    random: Option<ChaCha8Rng>,
    journal: Journal,
    llm: Arc<dyn Llm>,
}

impl Live {
    /// For runs whose calls to a model go to `llm`.
    pub fn new(llm: Arc<dyn Llm>) -> Self {
        Self {
            job: Arc::default(),
            run: RunInfo::default(),
            virtual_ns: 0,
            begun: Instant::now(),
            random: None,
            journal: Journal::default(),
            llm,
        }
    }

    /// Who answers the run's calls to a model: nobody, unless `llm` was granted.
    fn llm(&self) -> Arc<dyn Llm> {
        let granted = self.job.grants.iter().any(|grant| grant == "llm" || grant.starts_with("llm:"));
        if granted { Arc::clone(&self.llm) } else { Arc::new(DeniedLlm) }
    }
}

#[async_trait]
impl Effects for Live {
    fn begin(&mut self, job: &Arc<Job>, run: &Run) {
        if !Arc::ptr_eq(&self.job, job) {
            self.job = Arc::clone(job);
        }
        self.run = RunInfo { iteration: run.iteration, place: run.place, seed: run.seed };
        self.virtual_ns = 0;
        if job.clock == Clock::Real {
            self.begun = Instant::now();
        }
        self.random = None;
        self.journal.begin(job.limits.log);
    }

    fn monotonic(&mut self) -> u64 {
        match self.job.clock {
            Clock::Virtual { .. } => {
                let now = self.virtual_ns;
                self.virtual_ns = now.saturating_add(READING_NS);
                now
            }
            Clock::Real => self.elapsed(),
        }
    }

    fn wall(&mut self) -> Duration {
        match self.job.clock {
            Clock::Virtual { start_ns } => {
                let start = Duration::from_nanos(u64::try_from(start_ns).unwrap_or(0));
                start.saturating_add(Duration::from_nanos(self.monotonic()))
            }
            Clock::Real => SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default(),
        }
    }

    fn elapsed(&self) -> u64 {
        match self.job.clock {
            Clock::Virtual { .. } => self.virtual_ns,
            Clock::Real => crate::meter::nanoseconds(self.begun.elapsed()),
        }
    }

    async fn wait(&mut self, deadline: u64) {
        match self.job.clock {
            Clock::Virtual { .. } => self.virtual_ns = self.virtual_ns.max(deadline),
            Clock::Real => {
                let left = deadline.saturating_sub(self.elapsed());
                tokio::time::sleep(Duration::from_nanos(left)).await;
            }
        }
    }

    fn random(&mut self, bytes: &mut [u8]) {
        self.random.get_or_insert_with(|| ChaCha8Rng::seed_from_u64(self.run.seed)).fill_bytes(bytes);
    }

    fn option(&mut self, key: &str) -> Option<String> {
        self.job.options.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone())
    }

    fn options(&mut self) -> Vec<(String, String)> {
        self.job.options.clone()
    }

    fn log(&mut self, bytes: &[u8]) {
        self.journal.write(bytes);
    }

    fn stdio(&mut self) -> Journal {
        self.journal.clone()
    }

    fn run(&mut self) -> RunInfo {
        self.run
    }

    fn take_log(&mut self) -> bytes::Bytes {
        self.journal.take()
    }

    async fn chat(&mut self, request: ChatRequest) -> Result<types::Answer, types::Error> {
        self.llm().chat(request).await
    }

    async fn chat_streaming(&mut self, request: ChatRequest) -> Result<Box<dyn crate::llm::Stream>, types::Error> {
        self.llm().chat_streaming(request).await
    }

    async fn generate(&mut self, request: GenerateRequest) -> Result<types::Answer, types::Error> {
        self.llm().generate(request).await
    }

    async fn generate_streaming(
        &mut self,
        request: GenerateRequest,
    ) -> Result<Box<dyn crate::llm::Stream>, types::Error> {
        self.llm().generate_streaming(request).await
    }

    async fn embed(&mut self, request: EmbedRequest) -> Result<types::Embeddings, types::Error> {
        self.llm().embed(request).await
    }

    async fn models(&mut self) -> Result<Vec<types::Model>, types::Error> {
        self.llm().models().await
    }
}
