//! The tables of the history.
//!
//! Those of pypowerwall-server 0.13 stand as that server creates them, so that the file can be taken back;
//! they get complete rows only, because their columns are `NOT NULL`. Whatever has unknowns, and whatever
//! that server does not know, is in tables of our own, whose names begin with `history_`.

/// As pypowerwall-server 0.13 creates them.
pub(in crate::store) const OF_BEFORE: &str = "
    CREATE TABLE IF NOT EXISTS samples (
        gateway_id TEXT NOT NULL,
        ts REAL NOT NULL,
        solar_w REAL NOT NULL DEFAULT 0,
        home_w REAL NOT NULL DEFAULT 0,
        battery_charge_w REAL NOT NULL DEFAULT 0,
        battery_discharge_w REAL NOT NULL DEFAULT 0,
        grid_import_w REAL NOT NULL DEFAULT 0,
        grid_export_w REAL NOT NULL DEFAULT 0,
        soe REAL,
        PRIMARY KEY (gateway_id, ts)
    );
    CREATE INDEX IF NOT EXISTS idx_samples_ts ON samples(ts);
    CREATE TABLE IF NOT EXISTS daily_energy (
        gateway_id TEXT NOT NULL,
        day TEXT NOT NULL,
        solar_kwh REAL NOT NULL DEFAULT 0,
        home_kwh REAL NOT NULL DEFAULT 0,
        battery_charge_kwh REAL NOT NULL DEFAULT 0,
        battery_discharge_kwh REAL NOT NULL DEFAULT 0,
        grid_import_kwh REAL NOT NULL DEFAULT 0,
        grid_export_kwh REAL NOT NULL DEFAULT 0,
        last_sample_ts REAL,
        updated_at REAL NOT NULL,
        PRIMARY KEY (gateway_id, day)
    );
    CREATE TABLE IF NOT EXISTS integration_state (
        gateway_id TEXT PRIMARY KEY,
        ts REAL NOT NULL,
        solar_w REAL NOT NULL DEFAULT 0,
        home_w REAL NOT NULL DEFAULT 0,
        battery_charge_w REAL NOT NULL DEFAULT 0,
        battery_discharge_w REAL NOT NULL DEFAULT 0,
        grid_import_w REAL NOT NULL DEFAULT 0,
        grid_export_w REAL NOT NULL DEFAULT 0
    );
    CREATE TABLE IF NOT EXISTS device_series (
        series_id INTEGER PRIMARY KEY,
        gateway_id TEXT NOT NULL,
        device TEXT NOT NULL,
        metric TEXT NOT NULL,
        UNIQUE (gateway_id, device, metric)
    );
    CREATE TABLE IF NOT EXISTS device_samples (
        series_id INTEGER NOT NULL,
        ts INTEGER NOT NULL,
        value REAL NOT NULL,
        PRIMARY KEY (series_id, ts)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS idx_device_samples_ts ON device_samples(ts);
    CREATE TABLE IF NOT EXISTS device_daily (
        series_id INTEGER NOT NULL,
        day TEXT NOT NULL,
        min_value REAL NOT NULL,
        max_value REAL NOT NULL,
        sum_value REAL NOT NULL,
        count INTEGER NOT NULL,
        last_ts INTEGER NOT NULL,
        PRIMARY KEY (series_id, day)
    ) WITHOUT ROWID;
";

/// What finds samples with something unknown by their time.
pub(in crate::store) const BY_TIME: &str = "CREATE INDEX history_samples_by_time ON history_samples (at)";

/// What was in days that are no longer kept, so that months are kept for ever.
pub(in crate::store) const MONTHS: &str = "
    CREATE TABLE history_months (
        gateway INTEGER NOT NULL, month TEXT NOT NULL,
        solar REAL, home REAL, charge REAL, discharge REAL, import REAL, export REAL,
        solar_s REAL NOT NULL, home_s REAL NOT NULL, charge_s REAL NOT NULL,
        discharge_s REAL NOT NULL, import_s REAL NOT NULL, export_s REAL NOT NULL,
        ways INTEGER NOT NULL,
        PRIMARY KEY (gateway, month)
    ) WITHOUT ROWID;
";

/// Ours. Energies are Wh, powers W, `…_s` the seconds of the slot or day in which the energy was measured or
/// counted, times Unix seconds; unknown is `NULL`. `ways` says how energy was got (`batch::Source::bit`).
/// `mirrored` is the `updated_at` that was written into `daily_energy` with it.
pub(in crate::store) const OURS: &str = "
    CREATE TABLE history_runs (run INTEGER PRIMARY KEY, batch INTEGER NOT NULL, at REAL NOT NULL);
    CREATE TABLE history_gateways (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, zone TEXT, state TEXT
    );
    CREATE TABLE history_samples (
        gateway INTEGER NOT NULL, at REAL NOT NULL,
        solar REAL, home REAL, charge REAL, discharge REAL, import REAL, export REAL, soe REAL,
        PRIMARY KEY (gateway, at)
    ) WITHOUT ROWID;
    CREATE TABLE history_slots (
        gateway INTEGER NOT NULL, slot INTEGER NOT NULL,
        solar REAL, home REAL, charge REAL, discharge REAL, import REAL, export REAL,
        solar_s REAL NOT NULL, home_s REAL NOT NULL, charge_s REAL NOT NULL,
        discharge_s REAL NOT NULL, import_s REAL NOT NULL, export_s REAL NOT NULL,
        ways INTEGER NOT NULL, soe REAL,
        PRIMARY KEY (gateway, slot)
    ) WITHOUT ROWID;
    CREATE TABLE history_days (
        gateway INTEGER NOT NULL, day TEXT NOT NULL,
        solar REAL, home REAL, charge REAL, discharge REAL, import REAL, export REAL,
        solar_s REAL NOT NULL, home_s REAL NOT NULL, charge_s REAL NOT NULL,
        discharge_s REAL NOT NULL, import_s REAL NOT NULL, export_s REAL NOT NULL,
        ways INTEGER NOT NULL, last REAL, updated REAL NOT NULL, mirrored REAL,
        PRIMARY KEY (gateway, day)
    ) WITHOUT ROWID;
    CREATE TABLE history_recovered (
        gateway INTEGER NOT NULL, start REAL NOT NULL, stop REAL NOT NULL,
        solar REAL, home REAL, charge REAL, discharge REAL, import REAL, export REAL,
        PRIMARY KEY (gateway, stop, start)
    ) WITHOUT ROWID;
    CREATE INDEX history_days_by_day ON history_days (day);
    CREATE INDEX history_daily_energy_by_day ON daily_energy (day);
";
