//! Who listens while a client header is walked: nobody on the way to the core, a recorder when somebody asks why.
//!
//! The account of a decision comes from the very walk that decides, so that the two can never differ.

/// Is told each line and element of the one header that is read, in the order in which the walk meets them: nearest to
/// us first. What the walk does not reach is not told. Texts are what the proxy sent, and nobody's judged words.
pub trait Witness {
    /// The elements that follow stand in this line; 0 is the last line of the head, the nearest to us.
    fn line(&mut self, line: usize);

    /// An element, white space around it removed, and what the walk made of it. `hop` 0 is the nearest to us, and counts on
    /// over the lines. Where a line cannot be split into elements, the whole line is the text.
    fn element(&mut self, hop: usize, text: &[u8], verdict: Verdict);
}

/// What the walk made of one element.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Verdict {
    /// One hop more than is walked: nobody.
    BeyondBound,
    /// The nearest address that is not trusted: the client.
    Client,
    /// An address that no caller can have: nobody.
    NotPossible,
    /// One of several lines where exactly one may stand: nobody.
    Repeated,
    /// A trusted proxy, passed.
    Trusted,
    /// Not by the header's grammar, and then no line of it is believed: nobody.
    Ungrammatical,
    /// No address, or none that can be read: nobody.
    Unreadable,
}

/// Listens to nothing, and costs nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Witness for Silent {
    #[inline]
    fn line(&mut self, _line: usize) {}

    #[inline]
    fn element(&mut self, _hop: usize, _text: &[u8], _verdict: Verdict) {}
}
