# Every command that a contributor needs. `make demo` and `make test` do all the set-up they need by themselves.

PYTHON := .venv/bin/python
CARGO ?= cargo

.PHONY: build demo test lint venv bench ceiling peers readers spark growth instructions memory soak month lifecycle late properties browser stores clean

build:
	$(CARGO) build --release --locked

demo: build
	./target/release/converse-export demo

# format, lints, all tests, docs: what the gate runs
test: lint venv
	$(CARGO) test --locked --workspace

# both packages, and the library without the program
lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --locked --package converse-export --no-default-features --lib -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps

# the outside readers that tests check the table with
venv: .venv/ready

.venv/ready: tests/requirements.txt
	python3 -m venv .venv
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	touch $@

# what any records and any rows give, tried with many cases that were never tried before: takes minutes
properties:
	PROPTEST_CASES=100000 PROPTEST_RNG_SEED=$$(date +%s) $(CARGO) test --locked --lib dataset::
	PROPTEST_CASES=20000 PROPTEST_RNG_SEED=$$(date +%s) $(CARGO) test --locked --lib table::encoder

# memory over a range of 10 and of 100 days, side by side: takes minutes
soak: venv
	$(CARGO) test --release --locked --test it soak -- --ignored --nocapture

# memory where records are large, or have no time: takes minutes
memory: venv
	$(CARGO) test --locked --test it memory -- --ignored --nocapture --test-threads 1

# the port for bytes by key, on SeaweedFS, moto and azurite: starts them on 127.0.0.1 and ends them; needs npm
stores: target/stores/ready
	$(CARGO) test --locked --test stores -- --include-ignored --nocapture

target/stores/ready: tests/stores/requirements.txt
	python3 -m venv target/stores/venv
	target/stores/venv/bin/python -m pip install --quiet --disable-pip-version-check -r tests/stores/requirements.txt
	npm install --silent --no-audit --no-fund --prefix target/stores azurite@3.35.0
	touch $@

# the page of `report` drawn by Chromium, which has to be there (Debian's package chromium)
browser: venv
	$(CARGO) test --locked --test it report -- --ignored

# a simulated month synced hourly, with kills and faults, against one export of it: takes minutes
month: venv
	$(CARGO) test --locked --test it month -- --ignored --nocapture

# thousands of tables' lives against a model of what they must contain: takes hours
lifecycle: venv
	CONVERSE_EXPORT_TEST_LIFE_SEEDS=$${CONVERSE_EXPORT_TEST_LIFE_SEEDS:-10000} \
		$(CARGO) test --locked --test it lifecycle -- --nocapture

# late records: 100 large archives of each kind, exported and synced; takes hours
late: venv
	CONVERSE_EXPORT_TEST_LATE_SEEDS=$${CONVERSE_EXPORT_TEST_LATE_SEEDS:-100} \
		CONVERSE_EXPORT_TEST_LATE_CONVERSATIONS=$${CONVERSE_EXPORT_TEST_LATE_CONVERSATIONS:-40000} \
		$(CARGO) test --locked --test it late:: -- --test-threads 1 --nocapture

# the hot paths beside their bounds, as ratios; benches/README.md says how to read all of these
bench:
	$(CARGO) bench --locked --bench speed

# requests and seconds of an export, beside the fewest that its budget allows: takes minutes
ceiling:
	$(CARGO) bench --locked --bench ceiling

# the whole export beside what people write today
peers: build target/benches/ready
	target/benches/bin/python benches/peers.py

# how our files read beside those of pyarrow and DuckDB
readers: build target/benches/ready
	target/benches/bin/python benches/readers.py

# what an export costs as the work grows: takes minutes
growth: build
	python3 benches/growth.py

# instructions of the hot paths, which do not depend on the machine's mood: needs valgrind
instructions:
	python3 benches/instructions.py

# Spark reads the table: needs Java
spark: build target/spark/ready
	target/spark/bin/python benches/spark.py

target/benches/ready: benches/requirements.txt
target/spark/ready: benches/requirements-spark.txt
target/%/ready:
	python3 -m venv target/$*
	target/$*/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

clean:
	$(CARGO) clean
	rm -rf .venv demo-lake
