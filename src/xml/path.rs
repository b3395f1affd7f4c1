//! The subset of XPath 1.0 that form packs use: child steps with prefixes,
//! and an attribute as the last step.

use super::name_of;
use roxmltree::Node;
use std::collections::BTreeMap;
use std::fmt;

/// Prefix to namespace name.
pub type Namespaces = BTreeMap<String, String>;

/// Why a text is not a path of our subset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// An empty path or an empty step.
    #[error("the path `{0}` has an empty step")]
    EmptyStep(String),
    /// A step that is more than a name, such as a predicate or `..`.
    #[error("the step `{step}` of the path `{path}` is not a plain name")]
    NotAName {
        /// The whole path.
        path: String,
        /// The offending step.
        step: String,
    },
    /// A path to a place that does not start at the document, or ends with an
    /// attribute.
    #[error("the path `{0}` does not lead from the document to an element")]
    NotAPlace(String),
    /// A prefix that is not declared.
    #[error("the path `{path}` uses the prefix `{prefix}`, which is not declared")]
    Prefix {
        /// The whole path.
        path: String,
        /// The undeclared prefix.
        prefix: String,
    },
}

/// An expanded name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// Namespace name; `None` for a name in no namespace.
    pub namespace: Option<String>,
    /// Local part.
    pub local: String,
}

impl Name {
    /// Reads `prefix:local` or `local` (no namespace).
    pub fn parse(text: &str, namespaces: &Namespaces) -> Result<Self, PathError> {
        let (prefix, local) = match text.split_once(':') {
            Some((prefix, local)) => (Some(prefix), local),
            None => (None, text),
        };
        if !is_ncname(local) || !prefix.is_none_or(is_ncname) {
            return Err(PathError::NotAName {
                path: text.to_owned(),
                step: text.to_owned(),
            });
        }
        let namespace = match prefix {
            None => None,
            Some(prefix) => {
                Some(
                    namespaces
                        .get(prefix)
                        .cloned()
                        .ok_or_else(|| PathError::Prefix {
                            path: text.to_owned(),
                            prefix: prefix.to_owned(),
                        })?,
                )
            }
        };
        Ok(Self {
            namespace,
            local: local.to_owned(),
        })
    }

    /// The name of an element.
    fn of(node: Node<'_, '_>) -> Self {
        let name = node.tag_name();
        Self {
            namespace: namespace_of(name.namespace()).map(str::to_owned),
            local: name.name().to_owned(),
        }
    }

    /// Whether `node` is an element of this name.
    pub fn matches(&self, node: Node<'_, '_>) -> bool {
        let name = node.tag_name();
        node.is_element()
            && name.name() == self.local
            && namespace_of(name.namespace()) == self.namespace.as_deref()
    }
}

/// `xmlns=""` means no namespace, which the tree reports as an empty one.
fn namespace_of(name: Option<&str>) -> Option<&str> {
    name.filter(|name| !name.is_empty())
}

/// A path such as `/mh:a/mh:b`, `mh:b/@c`. One that begins with `/` starts at
/// the document, any other at the node it is applied to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    text: String,
    absolute: bool,
    steps: Vec<Name>,
    attribute: Option<Name>,
}

/// Where in a document its signature stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slot {
    /// As the last element of the root element.
    EndOfRoot,
    /// As the only element of the element at this path, which is there once.
    Wrapper(Path),
}

impl Slot {
    /// What [`Slot::EndOfRoot`] is called.
    pub const END_OF_ROOT: &'static str = "end-of-root";

    /// Reads `end-of-root` or the wrapper's path, such as `/mh:a/mh:b`.
    pub fn parse(text: &str, namespaces: &Namespaces) -> Result<Self, PathError> {
        if text == Self::END_OF_ROOT {
            return Ok(Self::EndOfRoot);
        }
        let path = Path::parse(text, namespaces)?;
        if !path.absolute || path.attribute.is_some() {
            return Err(PathError::NotAPlace(text.to_owned()));
        }
        Ok(Self::Wrapper(path))
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EndOfRoot => f.write_str(Self::END_OF_ROOT),
            Self::Wrapper(path) => path.fmt(f),
        }
    }
}

/// The prefixes that an element declares or inherits.
pub fn namespaces_of(node: Node<'_, '_>) -> Namespaces {
    let prefixed = |n: &roxmltree::Namespace<'_>| Some((n.name()?.to_owned(), n.uri().to_owned()));
    node.namespaces().filter_map(prefixed).collect()
}

/// What a path selected.
#[derive(Debug, Clone, Copy)]
pub struct Selected<'a, 'i> {
    /// The element, or the element that carries the attribute.
    pub node: Node<'a, 'i>,
    /// The value, when the path ends with an attribute.
    attribute: Option<&'a str>,
}

impl Path {
    /// Reads a path; prefixes are looked up in `namespaces`.
    pub fn parse(text: &str, namespaces: &Namespaces) -> Result<Self, PathError> {
        let (absolute, rest) = match text.strip_prefix('/') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let mut path = Self {
            text: text.to_owned(),
            absolute,
            steps: Vec::new(),
            attribute: None,
        };
        for step in rest.split('/') {
            if step.is_empty() || path.attribute.is_some() {
                return Err(PathError::EmptyStep(text.to_owned()));
            }
            let (name, is_attribute) = match step.strip_prefix('@') {
                Some(name) => (name, true),
                None => (step, false),
            };
            let name = Name::parse(name, namespaces).map_err(|error| in_path(error, text))?;
            if is_attribute {
                path.attribute = Some(name);
            } else {
                path.steps.push(name);
            }
        }
        Ok(path)
    }

    /// The path from the document to an element, written with the document's
    /// own prefixes.
    pub fn to(node: Node<'_, '_>) -> Self {
        let mut steps: Vec<Node<'_, '_>> = node.ancestors().filter(Node::is_element).collect();
        steps.reverse();
        Self {
            text: steps.iter().flat_map(|n| ["/", name_of(*n)]).collect(),
            absolute: true,
            steps: steps.into_iter().map(Name::of).collect(),
            attribute: None,
        }
    }

    /// The elements the path selects, in document order. For a path that ends
    /// with an attribute: the elements that carry it.
    pub fn select<'a, 'i>(&self, from: Node<'a, 'i>) -> Vec<Node<'a, 'i>> {
        self.values(from)
            .into_iter()
            .map(|found| found.node)
            .collect()
    }

    /// What the path selects, in document order.
    pub fn values<'a, 'i>(&self, from: Node<'a, 'i>) -> Vec<Selected<'a, 'i>> {
        let start = if self.absolute {
            from.document().root()
        } else {
            from
        };
        let mut nodes = vec![start];
        for step in &self.steps {
            nodes = nodes
                .into_iter()
                .flat_map(|node| node.children())
                .filter(|child| step.matches(*child))
                .collect();
        }
        let value = |node: Node<'a, 'i>| match &self.attribute {
            None => Some(Selected {
                node,
                attribute: None,
            }),
            Some(name) => {
                let found = node.attributes().find(|attribute| {
                    attribute.name() == name.local
                        && attribute.namespace() == name.namespace.as_deref()
                })?;
                Some(Selected {
                    node,
                    attribute: Some(found.value()),
                })
            }
        };
        nodes.into_iter().filter_map(value).collect()
    }

    /// The only or first thing the path selects.
    pub fn first<'a, 'i>(&self, from: Node<'a, 'i>) -> Option<Selected<'a, 'i>> {
        self.values(from).into_iter().next()
    }

    /// Whether the path starts at the document.
    pub fn is_absolute(&self) -> bool {
        self.absolute
    }

    /// Whether the path ends with an attribute.
    pub fn is_attribute(&self) -> bool {
        self.attribute.is_some()
    }

    /// The element names of the path, outermost first.
    pub fn steps(&self) -> &[Name] {
        &self.steps
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Selected<'_, '_> {
    /// Whether it is an attribute.
    pub fn is_attribute(&self) -> bool {
        self.attribute.is_some()
    }

    /// The attribute value, or the text of the element with the white space
    /// around it removed (comments inside do not split it).
    pub fn text(&self) -> String {
        match self.attribute {
            Some(value) => value.to_owned(),
            None => text_of(self.node),
        }
    }
}

/// The character data directly inside an element, trimmed. A comment may
/// split it into several nodes, so looking at the first one is not enough.
pub fn text_of(node: Node<'_, '_>) -> String {
    let pieces = node
        .children()
        .filter(Node::is_text)
        .filter_map(|n| n.text());
    let text: String = pieces.collect();
    text.trim().to_owned()
}

fn in_path(error: PathError, whole: &str) -> PathError {
    match error {
        PathError::EmptyStep(_) => PathError::EmptyStep(whole.to_owned()),
        PathError::NotAName { step, .. } => PathError::NotAName {
            path: whole.to_owned(),
            step,
        },
        PathError::NotAPlace(_) => PathError::NotAPlace(whole.to_owned()),
        PathError::Prefix { prefix, .. } => PathError::Prefix {
            path: whole.to_owned(),
            prefix,
        },
    }
}

/// Name characters as far as paths need them: letters, digits, `_`, `-`, `.`.
fn is_ncname(text: &str) -> bool {
    let mut characters = text.chars();
    characters
        .next()
        .is_some_and(|c| c.is_alphabetic() || c == '_')
        && characters.all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}
