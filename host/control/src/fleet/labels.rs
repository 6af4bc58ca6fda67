//! Labels of an agent: those of the token that it joined with, and those that it says itself.

/// All of them. Where both name one key, the token's counts: whoever made it knows what the agent is for, and whoever has
/// the agent's machine must not talk it into other work.
pub(super) fn merged(granted: &[String], own: &[String]) -> Vec<String> {
    let is_granted = |label: &&String| granted.iter().any(|other| key(other) == key(label));
    let mut labels: Vec<String> =
        granted.iter().chain(own.iter().filter(|label| !is_granted(label))).cloned().collect();
    labels.sort_unstable();
    labels.dedup();
    labels
}

/// `arch` of `arch=x86_64`. A label without a value is its own key.
fn key(label: &str) -> &str {
    label.split_once('=').map_or(label, |(key, _)| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_labels_of_the_token_win() {
        let labels = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let merge = |granted: &str, own: &str| merged(&labels(granted), &labels(own)).join(" ");
        assert_eq!(merge("", "arch=x86_64 gpu"), "arch=x86_64 gpu");
        assert_eq!(merge("rack=1", "arch=x86_64 rack=2 gpu gpu"), "arch=x86_64 gpu rack=1");
        assert_eq!(merge("gpu", "gpu=a100 model:codellama:7b"), "gpu model:codellama:7b");
        assert_eq!(merge("rack=1 rack=2", "rack=3"), "rack=1 rack=2");
    }
}
