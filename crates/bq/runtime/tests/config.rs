//! Configuration from end to end: files, environment and flags in, values and errors out.

use std::{collections::BTreeSet, fs, path::PathBuf};

use bq_primitives::{Algorithm, CompactTarget, Height, Network};
use bq_runtime::{
    Config, ConfigError, FIELDS, Layers, RandomXMode, RawConfig, RawMiner, RawPool, Source, default_file, load,
};

struct File {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

fn file(text: &str) -> File {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("bq.toml");
    fs::write(&path, text).expect("writes");
    File { _dir: dir, path }
}

fn load_text(text: &str) -> Result<Config, ConfigError> {
    let file = file(text);
    let layers = Layers { file: Some(file.path.clone()), ..Layers::default() };
    load(&layers).map(|loaded| loaded.config)
}

fn env(pairs: &[(&str, &str)]) -> Layers {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Layers { environment: pairs.iter().map(own).collect(), ..Layers::default() }
}

#[test]
fn without_a_word_it_is_a_devnet_that_mines() {
    let config = load(&Layers::default()).unwrap().config;
    assert_eq!(config.network, Network::Devnet);
    assert_eq!(config.stratum(Algorithm::Ethash).to_string(), "127.0.0.1:3335");
    assert_eq!(config.http.to_string(), "127.0.0.1:8080");
    assert_eq!((config.pool.fee_bp, config.pool.pplns_window_units), (100, 2));
    assert_eq!((config.miner.threads, config.miner.algorithms.len()), (1, 3));
    assert_eq!(config.randomx.mode, RandomXMode::Light);
    assert_eq!(config.data_dir, PathBuf::from("bq-data"));
    assert!(config.connect.is_empty());
}

#[test]
fn every_network_has_defaults_that_pass() {
    for network in Network::ALL {
        let config = load(&env(&[("BQ_NETWORK", network.name())])).unwrap().config;
        assert_eq!(config.network, network);
        let mines = config.miner.threads > 0;
        assert_eq!(mines, network == Network::Devnet, "{network}");
    }
}

#[test]
fn flags_beat_environment_beats_file_beats_default() {
    let file = file("http = \"127.0.0.1:1\"\nrpc = \"127.0.0.1:1\"\np2p = \"127.0.0.1:1\"\n[pool]\nfee_bp = 7\n");
    let mut layers = env(&[("BQ_HTTP", "127.0.0.1:2"), ("BQ_RPC", "127.0.0.1:2"), ("HOME", "/root")]);
    layers.file = Some(file.path.clone());
    layers.flags = RawConfig { http: Some("127.0.0.1:3".to_owned()), ..RawConfig::default() };
    let loaded = load(&layers).unwrap();
    let ports = [loaded.config.http.port(), loaded.config.rpc.port(), loaded.config.p2p.port()];
    assert_eq!(ports, [3, 2, 1]);
    let explain = |name: &str| loaded.explained.iter().find(|explained| explained.field == name).expect("is explained");
    assert_eq!(explain("http").from, Source::Flag);
    assert_eq!(explain("rpc").from, Source::Environment("BQ_RPC".to_owned()));
    assert_eq!(explain("p2p").from, Source::File(file.path.clone()));
    assert_eq!(explain("log.level").from, Source::Default);
    assert_eq!(explain("pool.fee_bp").value, "7");
    assert_eq!(explain("log.level").to_string(), "log.level = \"info\"  # default");
}

#[test]
fn nested_flags_and_lists_in_the_environment_arrive() {
    let mut layers = env(&[
        ("BQ_CONNECT", "10.0.0.1:8333, seed.example:8333"),
        ("BQ_MINER_ALGORITHMS", "ethash,sha256d,ethash"),
        ("BQ_MINER_ENABLED", "1"),
        ("BQ_POOL_RANDOMX_SHARE_DIFFICULTY_FLOOR", "5"),
        ("BQ_POOL_FEE_PB", "60"),
    ]);
    layers.flags.miner = RawMiner { threads: Some(3), ..RawMiner::default() };
    layers.flags.pool = RawPool { payout_min: Some(12_345), ..RawPool::default() };
    let loaded = load(&layers).unwrap();
    assert_eq!(loaded.config.connect, ["10.0.0.1:8333", "seed.example:8333"]);
    assert_eq!(loaded.config.miner.algorithms, [Algorithm::Sha256d, Algorithm::Ethash]);
    assert_eq!(loaded.config.miner.threads, 3);
    assert_eq!(loaded.config.pool.payout_min.atoms(), 12_345);
    let floor = loaded.config.pool.share_difficulty[Algorithm::RandomX.index()].floor;
    assert_eq!(floor.hashes(), 5);
    assert_eq!(loaded.unknown_environment, ["BQ_POOL_FEE_PB"]);
}

#[test]
fn networks_of_proxies_are_networks_or_addresses() {
    let config = load_text("[stratum]\nproxy_networks = [\"10.1.0.0/16\", \"192.0.2.7\", \"2001:db8::/32\"]").unwrap();
    let networks: Vec<String> = config.stratum_limits.proxy_networks.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.1.0.0/16", "192.0.2.7/32", "2001:db8::/32"]);
}

/// The message a person sees names the field, what it was set to, where, and what is allowed.
#[test]
fn errors_name_field_range_and_layer() {
    let file = file("[pool]\nfee_bp = 5001\n");
    let layers = Layers { file: Some(file.path.clone()), ..Layers::default() };
    let error = load(&layers).unwrap_err().to_string();
    let expected = format!("pool.fee_bp = 5001 (file {}): allowed is 0 to 5000", file.path.display());
    assert_eq!(error, expected);
    let error = load(&env(&[("BQ_HTTP", "8080")])).unwrap_err().to_string();
    assert!(error.starts_with("http = \"8080\" (environment BQ_HTTP): allowed is IP:PORT"), "{error}");
}

#[test]
fn bad_values_are_refused_with_their_field() {
    let cases = [
        ("network", "network = \"main\""),
        ("network", "network = 5"),
        ("http", "http = \"localhost:8080\""),
        ("p2p", "p2p = \"127.0.0.1:65536\""),
        ("rpc_auth", "rpc_auth = \"password\""),
        ("connect", "connect = [\"nowhere\"]"),
        ("connect", "connect = [\":1\"]"),
        ("connect", "connect = \"10.0.0.1:1\""),
        ("data_dir", "data_dir = \"\""),
        ("http", "http = \"127.0.0.1:3333\""),
        ("stratum_v2", "stratum_v2 = \"127.0.0.1:3333\""),
        ("stratum_v2", "http = \"0.0.0.0:3336\""),
        ("stratum.v2_channels_max", "[stratum]\nv2_channels_max = 0"),
        ("rpc", "http = \"0.0.0.0:9000\"\nrpc = \"127.0.0.1:9000\""),
        ("stratum.proxy_networks", "[stratum]\nproxy_networks = [\"10.0.0.0/40\"]"),
        ("stratum.proxy_networks", "[stratum]\nproxy_networks = \"10.0.0.0/8\""),
        ("stratum.deny_networks", "[stratum]\ndeny_networks = [\"10.0.0.0/33\"]"),
        ("stratum.allow_networks", "[stratum]\nallow_networks = [\"farm.example\"]"),
        ("stratum.tls_key_file", "[stratum]\ntls_certificate_file = \"chain.pem\""),
        ("stratum.tls_certificate_file", "[stratum]\ntls_key_file = \"key.pem\""),
        ("stratum.plaintext", "[stratum]\nplaintext = false\ntls = false"),
        ("stratum.plaintext", "[stratum]\nplaintext = false\n[miner]\nenabled = true"),
        ("stratum.connections_max", "[stratum]\nconnections_max = 10\nconnections_per_subnet_max = 11"),
        (
            "stratum.connections_per_subnet_max",
            "[stratum]\nconnections_per_subnet_max = 10\nconnections_per_peer_max = 11",
        ),
        ("pool.fee_bp", "[pool]\nfee_bp = -1"),
        ("pool.fee_bp", "[pool]\nfee_bp = \"1\""),
        ("pool.fee_bp", "[pool]\nfee_bp = 1.5"),
        ("pool.payout_interval_secs", "[pool]\npayout_interval_secs = 0"),
        ("pool.payout_inputs_max", "[pool]\npayout_inputs_max = 601"),
        ("pool.new_key", "[pool]\nnew_key = 1"),
        ("pool.payout_min", "[pool]\npayout_min = 9007199254740992"),
        ("pool.pplns_window_units", "[pool]\npplns_window_units = 0"),
        ("pool.share_interval_secs", "[pool]\nshare_interval_secs = 0"),
        ("pool.ethash.share_difficulty_start", "[pool.ethash]\nshare_difficulty_start = 0"),
        ("pool.ethash.share_difficulty_start", "[pool.ethash]\nshare_difficulty_start = 10"),
        ("pool.password_file", "[pool]\nkey_file = \"key.json\""),
        ("pool.keep_days", "[pool]\nkeep_days = -1"),
        ("pool.segment_shares", "[pool]\nsegment_shares = 999"),
        ("stratum.logins_per_connection_max", "[stratum]\nlogins_per_connection_max = 0"),
        ("stratum.ban_secs_max", "[stratum]\nban_secs = 60\nban_secs_max = 59"),
        ("stratum.randomx.queue_max", "[stratum.randomx]\nqueue_max = 15"),
        ("miner.algorithms", "[miner]\nalgorithms = []"),
        ("miner.algorithms", "[miner]\nalgorithms = [\"scrypt\"]"),
        ("miner.threads", "[miner]\nthreads = 1025"),
        ("miner.address", "[miner]\naddress = \"nobody\""),
        ("pool.cold_address", "[pool]\ncold_address = \"nobody\""),
        ("randomx.mode", "[randomx]\nmode = \"turbo\""),
        ("randomx.memory_budget_mib", "[randomx]\nmemory_budget_mib = 511"),
        ("log.level", "[log]\nlevel = \"loud\""),
        ("regtest.coinbase_maturity", "[regtest]\ncoinbase_maturity = 5"),
    ];
    for (field, text) in cases {
        let error = load_text(text).unwrap_err();
        let named = match &error {
            ConfigError::Value { field, .. } | ConfigError::Conflict { field, .. } => *field,
            ConfigError::Unknown { .. } | ConfigError::Syntax { .. } | ConfigError::Read { .. } => "",
        };
        assert_eq!(named, field, "{text}: {error}");
    }
}

#[test]
fn unknown_fields_and_broken_files_are_refused() {
    for (field, text) in [("pool.fee", "[pool]\nfee = 1"), ("htpp", "htpp = \"127.0.0.1:1\"")] {
        let error = load_text(text).unwrap_err();
        assert!(matches!(&error, ConfigError::Unknown { field: named, .. } if named == field), "{error}");
    }
    let error = load_text("http = ").unwrap_err();
    assert!(matches!(error, ConfigError::Syntax { .. }), "{error}");
    let missing = Layers { file: Some(PathBuf::from("/nowhere/bq.toml")), ..Layers::default() };
    assert!(load(&missing).unwrap_err().to_string().starts_with("/nowhere/bq.toml: "));
}

#[test]
fn an_address_of_another_network_is_refused() {
    let address = |network| bq_primitives::Address { network, key_hash: bq_primitives::KeyHash([1; 32]) };
    let good = load(&env(&[("BQ_MINER_ADDRESS", &address(Network::Devnet).to_string())])).unwrap();
    assert_eq!(good.config.miner.address, Some(address(Network::Devnet)));
    let error = load(&env(&[("BQ_MINER_ADDRESS", &address(Network::Mainnet).to_string())])).unwrap_err();
    assert!(error.to_string().contains("address belongs to mainnet, expected devnet"), "{error}");
}

#[test]
fn auto_takes_the_fast_mode_only_with_memory_for_it() {
    for (text, mode) in [
        ("", RandomXMode::Light),
        ("memory_budget_mib = 2591", RandomXMode::Light),
        ("memory_budget_mib = 2592", RandomXMode::Fast),
        ("mode = \"light\"\nmemory_budget_mib = 9000", RandomXMode::Light),
        ("mode = \"fast\"", RandomXMode::Fast),
    ] {
        assert_eq!(load_text(&format!("[randomx]\n{text}")).unwrap().randomx.mode, mode, "{text}");
    }
}

#[test]
fn a_regtest_chain_takes_its_own_eras() {
    let config = load_text(
        "network = \"regtest\"\n[regtest]\ncoinbase_maturity = 3\n\
         [[regtest.eras]]\nstart = 1\nalgorithms = [\"sha256d\"]\n\
         [[regtest.eras]]\nstart = 20\nalgorithms = [\"ethash\", \"sha256d\"]\nbits = { ethash = \"1f00ffff\" }\n",
    )
    .unwrap();
    assert_eq!(config.regtest.coinbase_maturity, Some(3));
    let [first, second] = config.regtest.eras.as_slice() else { panic!("two eras") };
    let easiest = CompactTarget(0x207f_ffff);
    assert_eq!((first.start, first.algorithms.as_slice()), (Height(1), &[(Algorithm::Sha256d, easiest)][..]));
    assert_eq!(second.start, Height(20));
    let expected = [(Algorithm::Sha256d, easiest), (Algorithm::Ethash, CompactTarget(0x1f00_ffff))];
    assert_eq!(second.algorithms, expected);

    let params = config.params;
    assert_eq!((params.network, params.coinbase_maturity, params.retarget), (Network::Regtest, 3, false));
    let active = |height| params.eras.at(Height(height)).map(|era| era.algorithms.len());
    assert_eq!((active(1), active(19), active(20)), (Some(1), Some(1), Some(2)));
    let ethash = params.eras.at(Height(20)).and_then(|era| era.algorithm(Algorithm::Ethash));
    let bits = CompactTarget(0x1f00_ffff);
    assert_eq!(ethash.map(|rule| rule.start_bits), Some(bq_consensus::StartBits::At(bits)));
    // Without retargeting, the limit is what every block needs.
    assert_eq!(ethash.map(|rule| rule.limit_bits), Some(bits));
}

#[test]
fn the_rules_are_those_of_the_network() {
    for network in Network::ALL {
        let config = load(&env(&[("BQ_NETWORK", network.name())])).unwrap().config;
        assert_eq!(config.params, bq_consensus::Params::of(network));
        // A share is easier than the easiest block, or small miners of a young chain would find blocks but no shares.
        for era in &config.params.eras.table {
            for rule in &era.algorithms {
                let block = bq_primitives::NetworkDifficulty::of_target(rule.bounds().unwrap().limit);
                let lane = config.pool.share_difficulty[rule.algorithm.index()];
                assert!(u128::from(lane.floor.hashes()) * 2 <= block.hashes(), "{network} {}", rule.algorithm);
            }
        }
    }
}

#[test]
fn senseless_eras_are_refused() {
    let era = |start: &str, rest: &str| format!("[[regtest.eras]]\nstart = {start}\n{rest}\n");
    let sha = "algorithms = [\"sha256d\"]";
    let bad = [
        era("2", sha),
        era("-1", sha),
        era("1", "algorithms = []"),
        era("1", "algorithms = [\"sha256d\", \"sha256d\"]"),
        era("1", "algorithms = [\"scrypt\"]"),
        era("1", "algorithms = [\"sha256d\"]\nbits = { ethash = \"207fffff\" }"),
        era("1", "algorithms = [\"sha256d\"]\nbits = { sha256d = \"00000000\" }"),
        era("1", "algorithms = [\"sha256d\"]\nbits = { sha256d = \"7fffff\" }"),
        era("1", "algorithms = [\"sha256d\"]\nlimit = 5"),
        era("1", sha) + &era("1", sha),
    ];
    for text in bad {
        let error = load_text(&format!("network = \"regtest\"\n{text}")).unwrap_err();
        assert!(matches!(error, ConfigError::Value { field: "regtest.eras", .. }), "{text}: {error}");
    }
}

#[test]
fn the_file_that_init_writes_holds_every_field_at_its_default() {
    for network in Network::ALL {
        let text = default_file(network);
        for field in &FIELDS {
            let key = field.name.rsplit('.').next().unwrap();
            assert!(text.lines().any(|line| line.trim_start_matches('#').starts_with(&format!("{key} = "))), "{key}");
            assert!(text.contains(&field.env()));
        }
        // As written, and with every default spelled out, it means the same.
        let spelled: String = text
            .lines()
            .filter(|line| !line.ends_with("(not set)"))
            .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
            .map(|line| format!("{line}\n"))
            .collect();
        assert_ne!(spelled, text);
        assert_eq!(load_text(&spelled).unwrap(), load_text(&text).unwrap());
        assert_eq!(load_text(&text).unwrap().network, network);
    }
}

/// The struct that flags fill in and the table of fields describe the same fields.
#[test]
fn the_raw_struct_and_the_table_agree() {
    let json = |name: &str| match name {
        "connect" | "http_proxies" | "miner.algorithms" | "regtest.eras" => "[]",
        "stratum.proxy_networks" | "stratum.deny_networks" | "stratum.allow_networks" | "stratum.agent_floors" => "[]",
        "stratum.scheme_ports" => "[]",
        "miner.enabled" | "miner.gpu" | "pool.new_key" => "true",
        "stratum.trust_loopback" | "stratum.tls" | "stratum.plaintext" | "stratum.v2_enabled" => "true",
        "auth.mode" | "pool.payout_mode" | "pool.scheme" | "pool.signer_socket" | "pool.cold_address" => "\"x\"",
        "pool.schemes" => "[]",
        "pool.settings" | "pool.notices" | "pool.notices_private" => "true",
        "auth.signed_requests" => "true",
        name if name.starts_with("http_") => "1",
        "rpc_connections_max" => "1",
        "rpc_long_polls_percent" | "rpc_long_polls_per_address_max" | "rpc_head_secs" | "rpc_body_secs" => "1",
        name if name.ends_with("_file") => "\"x\"",
        name if ["chain.", "stratum.", "pool.", "auth."].iter().any(|section| name.starts_with(section)) => "1",
        name if name.starts_with("miner.")
            && (name.ends_with("_max") || name.contains("_secs") || name.ends_with("_ms")) =>
        {
            "1"
        }
        "signer.payout_max" | "signer.day_max" | "signer.patience_ms" | "signer.peer_uid" => "1",
        "signer.statements_per_hour_max" | "signer.connections_max" => "1",
        "miner.threads" | "randomx.memory_budget_mib" | "regtest.coinbase_maturity" => "1",
        _ => "\"x\"",
    };
    let full: String = FIELDS.iter().map(|field| format!("{} = {}\n", field.name, json(field.name))).collect();
    let raw: RawConfig = toml::from_str(&full).expect("every field of the table is in the struct");
    let mut names = BTreeSet::new();
    collect("", &toml::Table::try_from(&raw).unwrap(), &mut names);
    assert_eq!(names, FIELDS.iter().map(|field| field.name.to_owned()).collect());
    assert_eq!(format!("{raw:?}").matches("None").count(), 0, "a field of the struct is not in the table");
}

fn collect(prefix: &str, table: &toml::Table, names: &mut BTreeSet<String>) {
    for (key, value) in table {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(inner) => collect(&name, inner, names),
            _ => drop(names.insert(name)),
        }
    }
}

#[test]
fn no_two_fields_are_one_variable_of_the_environment() {
    let names: BTreeSet<String> = FIELDS.iter().map(bq_runtime::Field::env).collect();
    assert_eq!(names.len(), FIELDS.len());
}

#[test]
fn a_port_pays_by_a_scheme_that_is_offered_and_has_an_address_of_its_own() {
    let text = |offered: &str, port: &str| {
        format!("[pool]\nschemes = [{offered}]\n[stratum]\nscheme_ports = [\"solo sha256d {port}\"]")
    };
    let config = load_text(&text("\"solo\"", "127.0.0.1:3343")).unwrap();
    assert_eq!(config.stratum_limits.scheme_ports.len(), 1);
    for (offered, port) in [("", "127.0.0.1:3343"), ("\"pps\"", "127.0.0.1:3343"), ("\"solo\"", "127.0.0.1:3333")] {
        let refused = load_text(&text(offered, port)).unwrap_err();
        assert!(matches!(refused, ConfigError::Conflict { field: "stratum.scheme_ports", .. }), "{refused}");
    }
}

#[test]
fn a_port_of_v2_that_is_off_is_free_for_others() {
    let text = "http = \"127.0.0.1:3336\"";
    assert!(matches!(load_text(text).unwrap_err(), ConfigError::Conflict { field: "stratum_v2", .. }));
    assert!(load_text(&format!("{text}\n[stratum]\nv2_enabled = false")).is_ok());
}
