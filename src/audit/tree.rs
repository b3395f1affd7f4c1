//! The Merkle tree over the entries (RFC 9162 §2.1): its leaves are the hashes
//! of the chain, so that a root speaks for every entry, and an entry is shown
//! to be under it without the others.

use crate::base::digest::{sha256, sha256_parts};
use crate::store::rusqlite::{Connection, OptionalExtension, Transaction, params};
use crate::store::{Store, StoreError};

/// A node or leaf.
pub type Hash = [u8; 32];

/// Entries under the smallest subtrees whose roots are stored.
const BLOCK: i64 = 256;
/// Most blocks stored in one transaction, which holds up all others.
const BLOCKS_AT_ONCE: usize = 16;

fn leaf(entry: &[u8]) -> Hash {
    sha256_parts(&[&[0], entry])
}

fn node(left: &Hash, right: &Hash) -> Hash {
    sha256_parts(&[&[1], left, right])
}

/// A tree that grows entry by entry, in memory that grows with the logarithm of
/// its size.
#[derive(Debug, Default)]
pub(super) struct Growing {
    size: i64,
    /// Complete subtrees from the left, each smaller than the one before it.
    edge: Vec<(i64, Hash)>,
}

impl Growing {
    /// Adds an entry by its hash; `complete` is told (leaves, first, root) of
    /// every subtree that is stored.
    pub(super) fn push(&mut self, entry: &[u8], mut complete: impl FnMut(i64, i64, &Hash)) {
        self.size += 1;
        let (mut leaves, mut root) = (1, leaf(entry));
        while let Some((_, left)) = self.edge.pop_if(|(size, _)| *size == leaves) {
            root = node(&left, &root);
            leaves *= 2;
            if leaves >= BLOCK {
                complete(leaves, self.size - leaves, &root);
            }
        }
        self.edge.push((leaves, root));
    }

    /// Entries so far.
    pub(super) fn size(&self) -> i64 {
        self.size
    }

    /// The root over all of them.
    pub(super) fn root(&self) -> Hash {
        let mut from_right = self.edge.iter().rev().map(|(_, hash)| *hash);
        let Some(last) = from_right.next() else {
            return sha256(&[]);
        };
        from_right.fold(last, |right, left| node(&left, &right))
    }
}

/// Stores the roots of all subtrees that are complete by now.
pub(super) fn store_complete(store: &Store) -> Result<(), StoreError> {
    while store.transact(store_some)? {}
    Ok(())
}

/// Returns whether there may be more.
fn store_some(transaction: &Transaction<'_>) -> Result<bool, StoreError> {
    let sql = StoreError::sql("store the tree of the audit log");
    let mut insert = transaction
        .prepare_cached("INSERT INTO audit_node VALUES (?1, ?2, ?3)")
        .map_err(&sql)?;
    let mut first = stored_to(transaction)?;
    for _ in 0..BLOCKS_AT_ONCE {
        let block = rows(transaction, first, BLOCK)?;
        if block.size < BLOCK {
            return Ok(false);
        }
        let (mut leaves, mut start, mut root) = (BLOCK, first, block.root());
        loop {
            insert.execute(params![leaves, start, root]).map_err(&sql)?;
            if (start / leaves) % 2 == 0 {
                break;
            }
            start -= leaves;
            root = node(&stored(transaction, leaves, start)?, &root);
            leaves *= 2;
        }
        first += BLOCK;
    }
    Ok(true)
}

/// Entries under the stored roots.
pub(super) fn stored_to(connection: &Connection) -> Result<i64, StoreError> {
    connection
        .prepare_cached("SELECT coalesce(max(first) + ?1, 0) FROM audit_node WHERE leaves = ?1")
        .and_then(|mut s| s.query_row([BLOCK], |row| row.get(0)))
        .map_err(StoreError::sql("read the tree of the audit log"))
}

/// The tree over entries that are read one by one.
fn rows(connection: &Connection, first: i64, leaves: i64) -> Result<Growing, StoreError> {
    let sql = StoreError::sql("read the audit log");
    let mut statement = connection
        .prepare_cached("SELECT hash FROM audit WHERE seq > ?1 AND seq <= ?1 + ?2 ORDER BY seq")
        .map_err(&sql)?;
    let mut rows = statement.query([first, leaves]).map_err(&sql)?;
    let mut tree = Growing::default();
    while let Some(row) = rows.next().map_err(&sql)? {
        let hash: Hash = row.get(0).map_err(&sql)?;
        tree.push(&hash, |_, _, _| {});
    }
    Ok(tree)
}

/// A stored root.
pub(super) fn find(
    connection: &Connection,
    leaves: i64,
    first: i64,
) -> Result<Option<Vec<u8>>, StoreError> {
    connection
        .prepare_cached("SELECT hash FROM audit_node WHERE leaves = ?1 AND first = ?2")
        .and_then(|mut s| s.query_row([leaves, first], |row| row.get(0)).optional())
        .map_err(StoreError::sql("read the tree of the audit log"))
}

fn stored(connection: &Connection, leaves: i64, first: i64) -> Result<Hash, StoreError> {
    let found = find(connection, leaves, first)?;
    let hash = found.and_then(|hash| Hash::try_from(hash).ok());
    hash.ok_or_else(|| StoreError::Damaged(format!("audit tree {leaves} {first}")))
}

/// The root over `leaves` entries after `first`, where RFC 9162 splits so; what
/// is complete must have been stored.
pub(super) fn root(connection: &Connection, first: i64, leaves: i64) -> Result<Hash, StoreError> {
    if leaves < BLOCK {
        let tree = rows(connection, first, leaves)?;
        return match tree.size == leaves {
            true => Ok(tree.root()),
            false => Err(StoreError::Damaged(format!("audit log after {first}"))),
        };
    }
    let left = half(leaves);
    if left * 2 == leaves {
        return stored(connection, leaves, first);
    }
    let right = root(connection, first + left, leaves - left)?;
    Ok(node(&root(connection, first, left)?, &right))
}

/// What shows that entry `seq` is under the root over `size` entries
/// (RFC 9162 §2.1.3.1), from the leaf up.
pub(super) fn path(connection: &Connection, seq: i64, size: i64) -> Result<Vec<Hash>, StoreError> {
    let (mut first, mut leaves) = (0, size);
    let mut path = Vec::new();
    while leaves > 1 {
        let left = half(leaves);
        if seq <= first + left {
            path.push(root(connection, first + left, leaves - left)?);
            leaves = left;
        } else {
            path.push(root(connection, first, left)?);
            (first, leaves) = (first + left, leaves - left);
        }
    }
    path.reverse();
    Ok(path)
}

/// The largest power of two below `leaves`, which is 2 or more.
fn half(leaves: i64) -> i64 {
    1 << (leaves - 1).ilog2()
}
