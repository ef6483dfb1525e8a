/// What the area below the editor shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConsoleTab {
    #[default]
    Output,
    Tests,
    Terminal,
    Ports,
}

impl ConsoleTab {
    pub const ALL: [Self; 4] = [Self::Output, Self::Tests, Self::Terminal, Self::Ports];

    /// The word in ids and in what the browser remembers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Output => "output",
            Self::Tests => "tests",
            Self::Terminal => "terminal",
            Self::Ports => "ports",
        }
    }

    pub fn label(self) -> &'static str {
        match self {
            Self::Output => "Output",
            Self::Tests => "Tests",
            Self::Terminal => "Terminal",
            Self::Ports => "Ports",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tab| tab.name() == name)
    }
}
