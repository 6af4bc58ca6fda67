//! A second interpreter for tests: short, recursive and naive, so that it can be believed by reading it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use serde_json::Value as Json;

/// A value.
#[derive(Clone)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    Vector(Vec<Value>),
    Object(BTreeMap<String, Value>),
    Closure(Rc<(Json, Scope)>),
    Builtin(String),
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json().map_or_else(|| "a function".to_owned(), |json| json.to_string()))
    }
}

/// What names are bound to, the innermost first. A recursion is the `fix` that it is the value of.
pub(super) type Scope = Option<Rc<Binding>>;

pub(super) struct Binding {
    name: String,
    bound: Bound,
    outer: Scope,
}

fn bind(name: &str, bound: Bound, outer: Scope) -> Scope {
    Some(Rc::new(Binding { name: name.to_owned(), bound, outer }))
}

pub(super) enum Bound {
    Value(Value),
    Recursion(Value),
}

/// Why there is no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    Error,
    /// This interpreter gave up: it may be for ever.
    TooLong,
}

/// The program's value for these arguments, unless it takes more than `fuel` nodes.
pub(super) fn run(program: &Json, args: &[Json], fuel: u32) -> Result<Json, Stop> {
    let reference = Reference { fuel: Cell::new(fuel) };
    let mut value = reference.eval(program, &None)?;
    if !args.is_empty() {
        let args = args.iter().map(constant).collect::<Result<_, _>>()?;
        value = reference.call(&value, args)?;
    }
    value.to_json().ok_or(Stop::Error)
}

struct Reference {
    fuel: Cell<u32>,
}

impl Reference {
    fn eval(&self, node: &Json, scope: &Scope) -> Result<Value, Stop> {
        self.fuel.set(self.fuel.get().checked_sub(1).ok_or(Stop::TooLong)?);
        let v = &node["v"];
        match node["g"].as_str().unwrap() {
            "lit" => constant(v),
            "ref" => self.named(v.as_str().unwrap(), scope),
            "vec" => {
                let elements = v.as_array().unwrap().iter().map(|element| self.eval(element, scope));
                Ok(Value::Vector(elements.collect::<Result<_, _>>()?))
            }
            "lam" => Ok(Value::Closure(Rc::new((v.clone(), scope.clone())))),
            "app" => {
                let function = self.eval(&v["fn"], scope)?;
                let args = match &v["args"] {
                    args if args["g"] == "vec" => args["v"].as_array().unwrap().clone(),
                    one => vec![one.clone()],
                };
                let args = args.iter().map(|arg| self.eval(arg, scope)).collect::<Result<_, _>>()?;
                self.call(&function, args)
            }
            "match" => {
                let subject = self.eval(&v["expr"], scope)?;
                for branch in v["branches"].as_array().unwrap() {
                    let fits = match branch["pattern"].get("lit_pattern") {
                        None => true,
                        Some(literal) => {
                            let literal = constant(literal)?;
                            subject.to_json().is_some() && subject.to_json() == literal.to_json()
                        }
                    };
                    if fits {
                        return self.eval(&branch["result"], scope);
                    }
                }
                Err(Stop::Error)
            }
            "fix" => {
                let function = self.eval(v, scope)?;
                self.fix(&function)
            }
            other => panic!("{other}"),
        }
    }

    fn named(&self, name: &str, mut scope: &Scope) -> Result<Value, Stop> {
        while let Some(binding) = scope {
            if binding.name == name {
                return match &binding.bound {
                    Bound::Value(value) => Ok(value.clone()),
                    Bound::Recursion(function) => self.fix(function),
                };
            }
            scope = &binding.outer;
        }
        if crate::builtins::NAMES.contains(&name) { Ok(Value::Builtin(name.to_owned())) } else { Err(Stop::Error) }
    }

    /// `fix f` is f applied to `fix f`.
    fn fix(&self, function: &Value) -> Result<Value, Stop> {
        match function {
            Value::Builtin(name) if name == "not" => Err(Stop::TooLong),
            Value::Closure(closure) => match closure.0["params"].as_array().unwrap().as_slice() {
                [param] => {
                    let recursion = Bound::Recursion(function.clone());
                    self.eval(&closure.0["body"], &bind(param.as_str().unwrap(), recursion, closure.1.clone()))
                }
                _ => Err(Stop::Error),
            },
            _ => Err(Stop::Error),
        }
    }

    fn call(&self, function: &Value, args: Vec<Value>) -> Result<Value, Stop> {
        match function {
            Value::Closure(closure) => {
                let params = closure.0["params"].as_array().unwrap();
                if params.len() != args.len() {
                    return Err(Stop::Error);
                }
                let mut scope = closure.1.clone();
                for (param, arg) in params.iter().zip(args) {
                    scope = bind(param.as_str().unwrap(), Bound::Value(arg), scope);
                }
                self.eval(&closure.0["body"], &scope)
            }
            Value::Builtin(name) => builtin(name, &args),
            _ => Err(Stop::Error),
        }
    }
}

fn builtin(name: &str, args: &[Value]) -> Result<Value, Stop> {
    let number = |number: f64| if number.is_finite() { Ok(Value::Number(number + 0.0)) } else { Err(Stop::Error) };
    let bool = |bool| Ok(Value::Bool(bool));
    match (name, args) {
        ("+", [Value::Number(left), Value::Number(right)]) => number(left + right),
        ("-", [Value::Number(left), Value::Number(right)]) => number(left - right),
        ("*", [Value::Number(left), Value::Number(right)]) => number(left * right),
        ("/", [Value::Number(left), Value::Number(right)]) => number(left / right),
        ("<", [Value::Number(left), Value::Number(right)]) => bool(left < right),
        (">", [Value::Number(left), Value::Number(right)]) => bool(left > right),
        ("<=", [Value::Number(left), Value::Number(right)]) => bool(left <= right),
        (">=", [Value::Number(left), Value::Number(right)]) => bool(left >= right),
        ("and", [Value::Bool(left), Value::Bool(right)]) => bool(*left && *right),
        ("or", [Value::Bool(left), Value::Bool(right)]) => bool(*left || *right),
        ("not", [Value::Bool(value)]) => bool(!value),
        ("=", [left, right]) => match (left.to_json(), right.to_json()) {
            (Some(left), Some(right)) => bool(left == right),
            _ => Err(Stop::Error),
        },
        _ => Err(Stop::Error),
    }
}

fn constant(json: &Json) -> Result<Value, Stop> {
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(bool) => Value::Bool(*bool),
        Json::Number(number) => {
            let number: f64 = number.to_string().parse().unwrap();
            if !number.is_finite() {
                return Err(Stop::Error);
            }
            Value::Number(number + 0.0)
        }
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(elements) => Value::Vector(elements.iter().map(constant).collect::<Result<_, _>>()?),
        Json::Object(members) => {
            let members = members.iter().map(|(key, value)| Ok((key.clone(), constant(value)?)));
            Value::Object(members.collect::<Result<_, _>>()?)
        }
    })
}

impl Value {
    /// As JSON, with all numbers as floats; `None` if it is or holds a function.
    fn to_json(&self) -> Option<Json> {
        Some(match self {
            Value::Null => Json::Null,
            Value::Bool(bool) => Json::from(*bool),
            Value::Number(number) => Json::from(*number),
            Value::Text(text) => Json::from(text.clone()),
            Value::Vector(elements) => elements.iter().map(Value::to_json).collect::<Option<_>>()?,
            Value::Object(members) => Json::Object(
                members.iter().map(|(key, value)| Some((key.clone(), value.to_json()?))).collect::<Option<_>>()?,
            ),
            Value::Closure(_) | Value::Builtin(_) => return None,
        })
    }
}
