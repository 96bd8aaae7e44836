//! What routes answer that always answer the same, or whose gateway has nothing to show.

pub(super) const NO_SOE: &str = r#"{"percentage":null,"raw_percentage":null}"#;
pub(super) const NO_JSON: &str = concat!(
    r#"{"grid":null,"home":null,"solar":null,"battery":null,"soe":null,"soe_raw":null,"#,
    r#""grid_status":null,"reserve":null,"time_remaining_hours":null,"full_pack_energy":null,"#,
    r#""energy_remaining":null,"strings":null}"#,
);
pub(super) const ZERO_JSON: &str = concat!(
    r#"{"grid":0,"home":0,"solar":0,"battery":0,"soe":0,"soe_raw":0,"grid_status":null,"reserve":0,"#,
    r#""time_remaining_hours":0,"full_pack_energy":0,"energy_remaining":0,"strings":{}}"#,
);
pub(super) const NO_POWER: &str = r#"{"site":null,"solar":null,"battery":null,"load":null}"#;
pub(super) const ZERO_POWER: &str = r#"{"site":0,"solar":0,"battery":0,"load":0}"#;
pub(super) const NO_STATUS: &str = concat!(
    r#"{"din":null,"start_time":null,"up_time_seconds":null,"is_new":false,"version":"Unknown","#,
    r#""git_hash":null,"commission_count":0,"device_type":null,"teg_type":"unknown","#,
    r#""sync_type":"unknown","cellular_disabled":false,"can_reboot":true}"#,
);
pub(super) const NO_GRID_STATUS: &str = r#"{"grid_status":"Unknown","grid_services_active":null}"#;
pub(super) const NO_FIRMWARE: &str = r#"{"version":"SolarOnly","vint":0}"#;
pub(super) const INSTALLER: &str = concat!(
    r#"{"company":"Tesla","customer_id":"","phone":"","email":"","location":"","mounting":"","#,
    r#""wiring":"","backup_configuration":"Whole Home","solar_installation":"New","#,
    r#""solar_installation_type":"PV Panel","run_sitemaster":true,"verified_config":true,"#,
    r#""installation_types":["Residential"]}"#,
);
pub(super) const TEDAPI_HINT: &str = concat!(
    r#"{"error":"Use /tedapi/config, /tedapi/status, /tedapi/components, /tedapi/battery,"#,
    r#" /tedapi/controller"}"#,
);
pub(super) const TEDAPI_OFFLINE: &str = r#"{"error":"Gateway offline - TEDAPI unavailable"}"#;
pub(super) const CLOUD_HINT: &str = r#"{"error":"Use /cloud/battery, /cloud/power, /cloud/config"}"#;
pub(super) const NO_CLOUD: &str = r#"{"error":"Cloud API not enabled"}"#;
pub(super) const NO_FLEET: &str = r#"{"error":"FleetAPI not enabled"}"#;
