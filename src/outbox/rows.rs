//! The SQL of the outbox, and nothing else.

use super::damaged;
use super::{Line, Link, Name, New, Queue, Record, Scope, Stage, State, Turns, Wait};
use crate::base::clock::{from_unix_ms, unix_ms};
use crate::base::{Uuid4, digest, ids};
use crate::forms::EnvironmentKind;
use crate::store::StoreError;
use crate::store::rusqlite::types::Type;
use crate::store::rusqlite::{self, Connection, OptionalExtension, Row, Transaction, params};
use time::OffsetDateTime;

pub(super) const COLUMNS: &str = "uuid, form, version, operation, code_prestataire, client, state, \
     wait_class, wait_code, wait_text, due_ms, tries, insurer_id, correlation_id, \
     received_ms, updated_ms, request_sha256, environment, environment_kind, signer, identity";

/// Length of [`identity`]: chance does not hit it.
const IDENTITY_BYTES: usize = 16;

/// Most submissions of one name that are looked at; an insurer's id names one.
const NAMED_MAX: usize = 16;

/// What has not ended.
pub(super) const OPEN: &str =
    "state IN ('received', 'signed', 'stamped', 'ready', 'sending', 'unknown')";

/// Damaged records are passed over.
pub(super) const NOT_ASIDE: &str = "uuid NOT IN (SELECT uuid FROM set_aside)";

fn states(stage: Stage) -> &'static str {
    // The very text of the partial indexes, so that they are used.
    match stage {
        Stage::Intake => "state IN ('received', 'signed', 'stamped')",
        Stage::Delivery => "state IN ('ready', 'unknown')",
    }
}

pub(super) fn find(connection: &Connection, uuid: Uuid4) -> Result<Option<Record>, StoreError> {
    let found = look_up(connection, &uuid.to_string())?.transpose();
    found.map_err(StoreError::sql("find a submission"))
}

/// The record under a key, or what is wrong with it.
pub(super) fn look_up(
    connection: &Connection,
    uuid: &str,
) -> Result<Option<rusqlite::Result<Record>>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM submission WHERE uuid = ?1");
    let found = connection
        .prepare_cached(&sql)
        .and_then(|mut s| {
            s.query_row([uuid], |row| Ok((text(row, 0)?, record(row))))
                .optional()
        })
        .map_err(StoreError::sql("find a submission"))?;
    match found {
        Some((found, _)) if found != uuid => Err(neighbour(uuid)),
        found => Ok(found.map(|(_, record)| record)),
    }
}

/// The key of one row is damaged, and a look-up that trusts the order of rows
/// found it in place of the one that was asked for.
pub(super) fn neighbour(asked: &str) -> StoreError {
    StoreError::DatabaseDamaged(format!("another row was found in place of {asked}"))
}

pub(super) fn find_request(
    connection: &Connection,
    sha256: &[u8; 32],
) -> Result<Option<Record>, StoreError> {
    let sql = "SELECT uuid, request_sha256 FROM submission WHERE request_sha256 = ?1";
    let found = connection
        .prepare_cached(sql)
        .and_then(|mut s| {
            s.query_row([sha256], |row| Ok((text(row, 0)?, row.get(1)?)))
                .optional()
        })
        .map_err(StoreError::sql("find a request"))?;
    let Some((uuid, of)) = found else {
        return Ok(None);
    };
    let of: Vec<u8> = of;
    if of != sha256 {
        return Err(neighbour(&uuid));
    }
    let found = look_up(connection, &uuid)?.ok_or_else(|| neighbour(&uuid))?;
    found.map(Some).map_err(StoreError::sql("find a request"))
}

pub(super) fn insert(
    tx: &Transaction<'_>,
    new: &New,
    now: OffsetDateTime,
) -> Result<Record, StoreError> {
    let record = Record {
        uuid: new.uuid,
        form: new.form.clone(),
        version: new.version.clone(),
        operation: new.operation.clone(),
        code_prestataire: new.code_prestataire.clone(),
        client: new.client.clone(),
        environment: new.environment.clone(),
        environment_kind: new.environment_kind,
        signer: new.signer.clone(),
        state: State::Received,
        wait: None,
        due_at: Some(now),
        tries: 0,
        insurer_id: None,
        correlation_id: None,
        received_at: now,
        updated_at: now,
        request_sha256: new.request_sha256,
    };
    let ms = unix_ms(now);
    tx.prepare_cached(
        "INSERT INTO submission (uuid, form, version, operation, code_prestataire, client, state, \
         due_ms, claims, tries, received_ms, updated_ms, request_sha256, environment, \
         environment_kind, signer, interactive, identity) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, 0, ?8, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )
    .and_then(|mut s| {
        s.execute(params![
            new.uuid.to_string(),
            new.form,
            new.version,
            new.operation,
            new.code_prestataire,
            new.client,
            State::Received.word(),
            ms,
            new.request_sha256,
            new.environment,
            new.environment_kind.as_str(),
            new.signer,
            new.is_interactive,
            identity(&record),
        ])
    })
    .map_err(StoreError::sql("insert a submission"))?;
    Ok(record)
}

/// Writes the record, and gives up its lease unless it is kept; false when the
/// claim is not the last one: nothing is written then.
pub(super) fn update(
    tx: &Transaction<'_>,
    record: &Record,
    claim: i64,
    keeps_lease: bool,
) -> Result<bool, StoreError> {
    let wait = record.wait.as_ref();
    let uuid = record.uuid.to_string();
    let written: Option<String> = tx
        .prepare_cached(
            "UPDATE submission SET state = ?2, wait_class = ?3, wait_code = ?4, wait_text = ?5, \
         due_ms = ?6, tries = ?7, insurer_id = ?8, correlation_id = ?9, updated_ms = ?10, \
         identity = ?12, lease_ms = iif(?13, lease_ms, NULL) \
         WHERE uuid = ?1 AND claims = ?11 RETURNING uuid",
        )
        .and_then(|mut s| {
            let values = params![
                uuid,
                record.state.word(),
                wait.map(|w| &w.class),
                wait.map(|w| &w.code),
                wait.map(|w| &w.text),
                record.due_at.map(unix_ms),
                record.tries,
                record.insurer_id,
                record.correlation_id,
                unix_ms(record.updated_at),
                claim,
                identity(record),
                keeps_lease,
            ];
            s.query_row(values, |row| text(row, 0)).optional()
        })
        .map_err(StoreError::sql("update a submission"))?;
    match written {
        Some(written) if written != uuid => Err(neighbour(&uuid)),
        written => Ok(written.is_some()),
    }
}

/// The first practitioner after `after` with anything open in the queue. One
/// look-up, however much waits.
fn sender_after(
    connection: &Connection,
    (stage, interactive): Line,
    after: &str,
) -> Result<Option<String>, StoreError> {
    let sql = format!(
        "SELECT code_prestataire FROM submission WHERE {} AND interactive = ?1 \
         AND code_prestataire > ?2 ORDER BY code_prestataire LIMIT 1",
        states(stage)
    );
    let found = connection
        .prepare_cached(&sql)
        .and_then(|mut s| {
            s.query_row(params![interactive, after], |row| text(row, 0))
                .optional()
        })
        .map_err(StoreError::sql("find who has something open"))?;
    match found {
        // The round would have no end.
        Some(code) if code.as_str() <= after => Err(StoreError::DatabaseDamaged(format!(
            "who has something open is not in order at {code:?}"
        ))),
        found => Ok(found),
    }
}

/// Claims what is due longest of the practitioner whose turn it is: the next
/// one after who was served last. One with much to send delays another by one
/// document at most. Costs two look-ups for each practitioner with nothing due.
pub(super) fn claim(
    tx: &Transaction<'_>,
    queue: Queue,
    turns: &mut Turns,
    now: OffsetDateTime,
    until: OffsetDateTime,
) -> Result<Option<(Record, i64)>, StoreError> {
    for interactive in queue.order() {
        let line = (queue.stage, *interactive);
        let served = turns.entry(line).or_default();
        // Those after it, then from the first one round to itself.
        for (after, last) in [
            (served.clone(), None),
            (String::new(), Some(served.clone())),
        ] {
            let is_in = |code: &String| last.as_ref().is_none_or(|last| code <= last);
            let mut sender = sender_after(tx, line, &after)?;
            while let Some(code) = sender.filter(is_in) {
                let claimed = claim_of(tx, line, &code, now, until)?;
                if claimed.is_some() {
                    *served = code;
                    return Ok(claimed);
                }
                sender = sender_after(tx, line, &code)?;
            }
        }
    }
    Ok(None)
}

fn claim_of(
    tx: &Transaction<'_>,
    (stage, interactive): Line,
    code: &str,
    now: OffsetDateTime,
    until: OffsetDateTime,
) -> Result<Option<(Record, i64)>, StoreError> {
    let states = states(stage);
    let sql = format!(
        "SELECT uuid, due_ms FROM submission WHERE {states} AND interactive = ?2 \
         AND code_prestataire = ?3 AND due_ms <= ?1 AND (lease_ms IS NULL OR lease_ms <= ?1) \
         AND {NOT_ASIDE} ORDER BY due_ms LIMIT 1"
    );
    let failed = StoreError::sql("claim a submission");
    let mut first = tx.prepare_cached(&sql).map_err(&failed)?;
    let mut before = (String::new(), 0);
    loop {
        let found = first.query_row(params![unix_ms(now), interactive, code], |row| {
            Ok((text(row, 0)?, row.get(1)?))
        });
        let Some((uuid, due_ms)) = found.optional().map_err(&failed)? else {
            return Ok(None);
        };
        before.1 = if before.0 == uuid { before.1 + 1 } else { 0 };
        let is_as_found = |record: &Record| {
            states.contains(&format!("'{}'", record.state.word()))
                && record.due_at.map(unix_ms) == Some(due_ms)
        };
        match look_up(tx, &uuid)? {
            // It was put right, and is found again.
            _ if before.1 > 1 => return Err(neighbour(&uuid)),
            Some(Ok(record)) if is_as_found(&record) => {
                return take(tx, &uuid, until).map(|claims| Some((record, claims)));
            }
            Some(Ok(record)) => {
                damaged::mend_index(tx, stage_index(stage))?;
                make_due(tx, record.uuid, now)?;
            }
            Some(Err(error)) => damaged::set_aside(tx, &uuid, now, &error)?,
            None => damaged::set_aside(tx, &uuid, now, &"an index has it alone")?,
        }
        before.0 = uuid;
    }
}

fn stage_index(stage: Stage) -> &'static str {
    match stage {
        Stage::Intake => "submission_intake",
        Stage::Delivery => "submission_delivery",
    }
}

/// Writes a claim; returns how many there were.
fn take(tx: &Transaction<'_>, uuid: &str, until: OffsetDateTime) -> Result<i64, StoreError> {
    let failed = StoreError::sql("claim a submission");
    let (taken, claims) = tx
        .prepare_cached(
            "UPDATE submission SET lease_ms = ?2, claims = claims + 1 WHERE uuid = ?1 \
             RETURNING uuid, claims",
        )
        .and_then(|mut s| {
            s.query_row(params![uuid, unix_ms(until)], |row| {
                Ok((text(row, 0)?, row.get(1)?))
            })
        })
        .map_err(&failed)?;
    match taken == uuid {
        true => Ok(claims),
        false => Err(neighbour(uuid)),
    }
}

pub(super) fn next_due(
    connection: &Connection,
    queue: Queue,
) -> Result<Option<OffsetDateTime>, StoreError> {
    // One that is held is no news: its holder tells when it is done.
    let sql = format!(
        "SELECT due_ms FROM submission WHERE {} AND interactive = ?1 AND code_prestataire = ?2 \
         AND lease_ms IS NULL AND due_ms IS NOT NULL AND {NOT_ASIDE} ORDER BY due_ms LIMIT 1",
        states(queue.stage)
    );
    let failed = StoreError::sql("find what is due");
    let mut statement = connection.prepare_cached(&sql).map_err(&failed)?;
    let mut first = None;
    for interactive in queue.order() {
        let mut sender = sender_after(connection, (queue.stage, *interactive), "")?;
        while let Some(code) = sender {
            let due = statement.query_row(params![interactive, code], |row| row.get(0));
            let due: Option<i64> = due.optional().map_err(&failed)?;
            first = first.into_iter().chain(due).min();
            sender = sender_after(connection, (queue.stage, *interactive), &code)?;
        }
    }
    Ok(first.map(from_unix_ms))
}

/// Some open submissions of a stage: at most `limit` are looked at. Damaged
/// ones are passed over: who claims one sets it aside.
pub(super) fn sample(
    connection: &Connection,
    stage: Stage,
    limit: usize,
) -> Result<Vec<Record>, StoreError> {
    let failed = StoreError::sql("look at open submissions");
    let sql = format!(
        "SELECT {COLUMNS} FROM submission WHERE {} LIMIT ?1",
        states(stage)
    );
    let mut statement = connection.prepare(&sql).map_err(&failed)?;
    let rows = statement
        .query_map([limit as i64], record)
        .map_err(&failed)?;
    rows.filter(is_readable)
        .collect::<Result<_, _>>()
        .map_err(&failed)
}

pub(super) fn make_due(
    tx: &Transaction<'_>,
    uuid: Uuid4,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let sql = format!(
        "UPDATE submission SET due_ms = ?2 WHERE uuid = ?1 AND due_ms IS NOT NULL AND {NOT_ASIDE}"
    );
    tx.execute(&sql, params![uuid.to_string(), unix_ms(now)])
        .map_err(StoreError::sql("make a submission due"))?;
    Ok(())
}

pub(super) fn make_due_of_class(
    tx: &Transaction<'_>,
    class: &str,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    for stage in Stage::ALL {
        let sql = format!(
            "UPDATE submission SET due_ms = ?2 WHERE {} AND due_ms > ?2 AND wait_class = ?1 \
             AND {NOT_ASIDE}",
            states(stage)
        );
        tx.execute(&sql, params![class, unix_ms(now)])
            .map_err(StoreError::sql("make submissions due"))?;
    }
    Ok(())
}

pub(super) fn has_any_of(
    connection: &Connection,
    form: &str,
    version: &str,
) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM submission WHERE form = ?1 AND version = ?2)";
    connection
        .query_row(sql, params![form, version], |row| row.get(0))
        .map_err(StoreError::sql("look for a form's submissions"))
}

/// The first of a sender's documents that such an environment accepted.
pub(super) fn first_receipted(
    connection: &Connection,
    code_prestataire: &str,
    kind: &str,
) -> Result<Option<Record>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM submission WHERE code_prestataire = ?1 AND environment_kind = ?2 \
         AND state = 'receipted' ORDER BY received_ms, uuid LIMIT 1"
    );
    connection
        .query_row(&sql, params![code_prestataire, kind], record)
        .optional()
        .map_err(StoreError::sql("find a first document"))
}

pub(super) fn list(
    connection: &Connection,
    limit: usize,
    before: Option<Uuid4>,
    of: &[&str],
) -> Result<Vec<Record>, StoreError> {
    let failed = StoreError::sql("list submissions");
    let before = before.map(|uuid| uuid.to_string());
    let mut found = Vec::new();
    let all = [""];
    // Each practitioner's newest by an index of their own: the others' are not looked at.
    for code in if of.is_empty() { &all } else { of } {
        let own = if code.is_empty() {
            "?2 = ''"
        } else {
            "code_prestataire = ?2"
        };
        let sql = format!(
            "SELECT {COLUMNS} FROM submission WHERE {own} AND (?1 IS NULL OR (received_ms, uuid) < \
             (SELECT received_ms, uuid FROM submission WHERE uuid = ?1)) \
             ORDER BY received_ms DESC, uuid DESC"
        );
        let mut statement = connection.prepare_cached(&sql).map_err(&failed)?;
        let rows = statement
            .query_map(params![before, code], record)
            .map_err(&failed)?;
        // One that is damaged must not hide the others; it is a condition.
        for row in rows.filter(is_readable).take(limit) {
            found.push(row.map_err(&failed)?);
        }
    }
    found.sort_by_key(|record: &Record| std::cmp::Reverse((record.received_at, record.uuid)));
    found.truncate(limit);
    Ok(found)
}

/// Those with this name in the scope's environment and form, newest first; the
/// sender is not looked at.
pub(super) fn named(
    connection: &Connection,
    scope: Scope<'_>,
    name: &Name,
) -> Result<Vec<Record>, StoreError> {
    let failed = StoreError::sql("find a named submission");
    // An id of the receiver stands as it was given, a UUID maybe in capitals.
    let (column, value) = match name {
        Name::InsurerId(id) => ("insurer_id", id),
        Name::Uuid(uuid) => ("uuid", uuid),
    };
    let capitals = match ids::is_uuid(value) {
        true => &value.to_uppercase(),
        false => value,
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM submission WHERE {column} IN (?1, ?4) AND environment = ?2 AND form = ?3 \
         ORDER BY received_ms DESC LIMIT {NAMED_MAX}"
    );
    let mut statement = connection.prepare_cached(&sql).map_err(&failed)?;
    let rows = statement
        .query_map(
            params![value, scope.environment, scope.form, capitals],
            record,
        )
        .map_err(&failed)?;
    rows.collect::<Result<_, _>>().map_err(&failed)
}

/// The live document other than `own` with the same `once` about the same
/// earlier one, by whichever name it calls it.
pub(super) fn standing(
    connection: &Connection,
    scope: Scope<'_>,
    own: Uuid4,
    link: &Link,
) -> Result<Option<Uuid4>, StoreError> {
    let Some(once) = &link.once else {
        return Ok(None);
    };
    let mut names = vec![link.name.clone()];
    for record in named(connection, scope, &link.name)? {
        if record.code_prestataire == scope.code_prestataire {
            names.push(Name::Uuid(record.uuid.to_string()));
            names.extend(record.insurer_id.as_deref().map(Name::insurer_id));
        }
    }
    for name in names {
        let found: Option<String> = connection
            .prepare_cached(
                "SELECT uuid FROM link WHERE name = ?1 AND named_by = ?2 AND once = ?3 \
                 AND environment = ?4 AND form = ?5 AND code_prestataire = ?6 \
                 AND live = 1 AND uuid <> ?7 LIMIT 1",
            )
            .and_then(|mut s| {
                let own = own.to_string();
                let named = params![
                    name.value(),
                    name.by(),
                    once,
                    scope.environment,
                    scope.form,
                    scope.code_prestataire,
                    own
                ];
                s.query_row(named, |row| row.get(0)).optional()
            })
            .map_err(StoreError::sql("find a standing document"))?;
        if let Some(uuid) = found.and_then(|uuid| uuid.parse().ok()) {
            return Ok(Some(uuid));
        }
    }
    Ok(None)
}

pub(super) fn insert_link(
    tx: &Transaction<'_>,
    record: &Record,
    place: usize,
    link: &Link,
) -> Result<(), StoreError> {
    tx.prepare_cached("INSERT INTO link VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 1)")
        .and_then(|mut s| {
            s.execute(params![
                record.uuid.to_string(),
                place as i64,
                record.environment,
                record.form,
                record.code_prestataire,
                link.once,
                link.name.by(),
                link.name.value(),
            ])
        })
        .map_err(StoreError::sql("insert a link"))?;
    Ok(())
}

/// A refused document says nothing of others any more.
pub(super) fn end_links(tx: &Transaction<'_>, uuid: Uuid4) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE link SET live = 0 WHERE uuid = ?1")
        .and_then(|mut s| s.execute([uuid.to_string()]))
        .map_err(StoreError::sql("end links"))?;
    Ok(())
}

pub(super) fn links(connection: &Connection, uuid: Uuid4) -> Result<Vec<Link>, StoreError> {
    let failed = StoreError::sql("read links");
    let mut statement = connection
        .prepare_cached("SELECT once, named_by, name FROM link WHERE uuid = ?1 ORDER BY place")
        .map_err(&failed)?;
    let rows = statement
        .query_map([uuid.to_string()], |row| {
            let by: String = row.get(1)?;
            let name = Name::read(&by, row.get(2)?);
            Ok(Link {
                once: row.get(0)?,
                name: name.ok_or_else(|| unreadable(1))?,
            })
        })
        .map_err(&failed)?;
    rows.collect::<Result<_, _>>().map_err(&failed)
}

pub(super) fn referring(
    connection: &Connection,
    record: &Record,
) -> Result<Vec<Uuid4>, StoreError> {
    let failed = StoreError::sql("find referring submissions");
    let insurer_id = record.insurer_id.as_deref().map(Name::insurer_id);
    let mut statement = connection
        .prepare_cached(
            "SELECT DISTINCT s.uuid FROM link l JOIN submission s ON s.uuid = l.uuid \
             WHERE l.live = 1 AND l.environment = ?3 AND l.form = ?4 AND l.code_prestataire = ?5 \
             AND ((l.named_by = 'uuid' AND l.name = ?1) OR (l.named_by = 'insurer-id' AND l.name = ?2)) \
             ORDER BY s.received_ms, s.uuid",
        )
        .map_err(&failed)?;
    let rows = statement
        .query_map(
            params![
                record.uuid.to_string(),
                insurer_id.as_ref().map(Name::value),
                record.environment,
                record.form,
                record.code_prestataire
            ],
            |row| {
                let uuid: String = row.get(0)?;
                uuid.parse().map_err(|_| unreadable(0))
            },
        )
        .map_err(&failed)?;
    rows.collect::<Result<_, _>>().map_err(&failed)
}

/// How many can be taken on, now or later. Reads the indexes of these alone.
pub(super) fn count_open(connection: &Connection) -> Result<usize, StoreError> {
    let mut open = 0;
    for stage in Stage::ALL {
        let sql = format!("SELECT count(*) FROM submission WHERE {}", states(stage));
        let count = connection.query_row(&sql, [], |row| row.get::<_, i64>(0));
        open += count.map_err(StoreError::sql("count what is open"))? as usize;
    }
    Ok(open)
}

/// UUIDs whose attempt was cut off.
pub(super) fn interrupted(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let failed = StoreError::sql("find interrupted attempts");
    let sql = format!(
        "SELECT uuid FROM submission WHERE state = 'sending' AND lease_ms IS NOT NULL AND {NOT_ASIDE}"
    );
    let mut statement = connection.prepare(&sql).map_err(&failed)?;
    let rows = statement
        .query_map([], |row| text(row, 0))
        .map_err(&failed)?;
    rows.collect::<Result<_, _>>().map_err(&failed)
}

pub(super) fn recover(tx: &Transaction<'_>, now: OffsetDateTime) -> Result<(), StoreError> {
    let failed = StoreError::sql("recover submissions");
    // Whatever is being sent is held.
    let sent = format!(
        "UPDATE submission SET state = 'unknown', due_ms = ?1, updated_ms = ?1, \
         wait_class = 'ours', wait_code = 'interrupted', \
         wait_text = 'The service stopped while sending; the receiver is being asked.' \
         WHERE state = 'sending' AND lease_ms IS NOT NULL AND {NOT_ASIDE}"
    );
    tx.execute(&sent, [unix_ms(now)]).map_err(&failed)?;
    let held =
        format!("UPDATE submission SET lease_ms = NULL WHERE lease_ms IS NOT NULL AND {NOT_ASIDE}");
    tx.execute(&held, []).map_err(&failed)?;
    Ok(())
}

/// Makes due what was put off by a clock that has been set back since: it
/// would wait for as long as the clock was wrong.
pub(super) fn clock_set_back(tx: &Transaction<'_>, now: OffsetDateTime) -> Result<(), StoreError> {
    for stage in Stage::ALL {
        let sql = format!(
            "UPDATE submission SET due_ms = ?1 WHERE {} AND due_ms > ?1 AND updated_ms > ?1 \
             AND {NOT_ASIDE}",
            states(stage)
        );
        tx.execute(&sql, [unix_ms(now)])
            .map_err(StoreError::sql("follow the clock"))?;
    }
    Ok(())
}

/// UUIDs of all that has not ended.
pub(super) fn open(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let failed = StoreError::sql("find what is open");
    let sql = format!("SELECT uuid FROM submission WHERE {OPEN} AND {NOT_ASIDE}");
    let mut statement = connection.prepare(&sql).map_err(&failed)?;
    let rows = statement
        .query_map([], |row| text(row, 0))
        .map_err(&failed)?;
    rows.collect::<Result<_, _>>().map_err(&failed)
}

/// Takes one that the receiver does not have back to where it was when the
/// backup was made it was restored from.
pub(super) fn resume(tx: &Transaction<'_>, uuid: Uuid4) -> Result<Option<State>, StoreError> {
    tx.prepare_cached(
        "UPDATE submission SET state = resume, resume = NULL \
         WHERE uuid = ?1 AND resume IS NOT NULL RETURNING state",
    )
    .and_then(|mut s| {
        let back = |row: &Row<'_>| {
            let word: String = row.get(0)?;
            State::from_word(&word).ok_or_else(|| unreadable(0))
        };
        s.query_row([uuid.to_string()], back).optional()
    })
    .map_err(StoreError::sql("resume a submission"))
}

/// A UUID, when it is written as this program writes it.
pub(super) fn key(text: &str) -> Option<Uuid4> {
    let uuid: Uuid4 = text.parse().ok()?;
    (uuid.to_string() == text).then_some(uuid)
}

/// A key. One that cannot be read is damage of the database, not of a record:
/// there is none to set aside.
pub(super) fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    row.get(column).map_err(|_| {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        rusqlite::Error::SqliteFailure(code, Some("a key cannot be read".to_owned()))
    })
}

/// Whether it is a record, or a failure of the database: not one that is damaged.
fn is_readable(row: &rusqlite::Result<Record>) -> bool {
    !row.as_ref().is_err_and(damaged::is_of_the_record)
}

pub(super) fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    let wait_class: Option<String> = row.get(7)?;
    let wait = match wait_class {
        Some(class) => Some(Wait {
            class,
            code: row.get(8)?,
            text: row.get(9)?,
        }),
        None => None,
    };
    let uuid: String = row.get(0)?;
    let state: String = row.get(6)?;
    let kind: String = row.get(18)?;
    let written: Option<[u8; IDENTITY_BYTES]> = row.get(20)?;
    let record = Record {
        uuid: key(&uuid).ok_or_else(|| unreadable(0))?,
        form: row.get(1)?,
        version: row.get(2)?,
        operation: row.get(3)?,
        code_prestataire: row.get(4)?,
        client: row.get(5)?,
        state: State::from_word(&state).ok_or_else(|| unreadable(6))?,
        wait,
        due_at: row.get::<_, Option<i64>>(10)?.map(from_unix_ms),
        tries: row.get(11)?,
        insurer_id: row.get(12)?,
        correlation_id: row.get(13)?,
        received_at: from_unix_ms(row.get(14)?),
        updated_at: from_unix_ms(row.get(15)?),
        request_sha256: row.get(16)?,
        environment: row.get(17)?,
        environment_kind: EnvironmentKind::parse(&kind).ok_or_else(|| unreadable(18))?,
        signer: row.get(19)?,
    };
    match written.is_none_or(|written| written == identity(&record)) {
        true => Ok(record),
        false => Err(unreadable(20)),
    }
}

/// What says that a record is still what was written: SQLite keeps no checksum
/// of its pages, and a bit that flips in a code sends a document in another's
/// name. Over each field that decides what is sent where and for whom, after its
/// length. Records of schemas before 3 have none until they change.
fn identity(record: &Record) -> [u8; IDENTITY_BYTES] {
    let (uuid, received) = (record.uuid.to_string(), unix_ms(record.received_at));
    let fields: [&[u8]; 11] = [
        uuid.as_bytes(),
        record.form.as_bytes(),
        record.version.as_bytes(),
        record.operation.as_bytes(),
        record.code_prestataire.as_bytes(),
        record.client.as_bytes(),
        record.environment.as_bytes(),
        record.environment_kind.as_str().as_bytes(),
        record.signer.as_deref().unwrap_or_default().as_bytes(),
        record.insurer_id.as_deref().unwrap_or_default().as_bytes(),
        &record.request_sha256,
    ];
    let mut bytes = received.to_be_bytes().to_vec();
    for field in fields {
        bytes.extend_from_slice(&(field.len() as u64).to_be_bytes());
        bytes.extend_from_slice(field);
    }
    let mut out = [0; IDENTITY_BYTES];
    out.copy_from_slice(&digest::sha256(&bytes)[..IDENTITY_BYTES]);
    out
}

fn unreadable(column: usize) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, "not a stored value".into())
}
