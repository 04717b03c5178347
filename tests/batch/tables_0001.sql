CREATE TABLE contents (
    content TEXT NOT NULL,
    entered_at DATETIME NOT NULL,
    code BLOB NOT NULL,
    CONSTRAINT pk_contents PRIMARY KEY (content)
);
CREATE TABLE keys (
    id INTEGER NOT NULL, -- id
    digest TEXT NOT NULL,
    rubric TEXT NOT NULL,
    rubric_version TEXT NOT NULL,
    rubric_sha256 TEXT NOT NULL,
    tool TEXT NOT NULL,
    settings JSON NOT NULL,
    made_at DATETIME NOT NULL,
    CONSTRAINT pk_keys PRIMARY KEY (id),
    CONSTRAINT uq_keys_digest UNIQUE (digest)
);
CREATE TABLE settings (
    id INTEGER NOT NULL, -- id
    name TEXT NOT NULL,
    value JSON NOT NULL,
    set_at DATETIME NOT NULL,
    CONSTRAINT pk_settings PRIMARY KEY (id)
);
CREATE INDEX ix_settings_name ON settings (name);
CREATE TABLE attempts (
    id INTEGER NOT NULL, -- id
    student TEXT NOT NULL,
    content TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    platform TEXT NOT NULL,
    members JSON NOT NULL,
    number INTEGER,
    submitted_at DATETIME,
    last_submitted_at DATETIME,
    seconds_late DOUBLE,
    arrived_at DATETIME NOT NULL,
    CONSTRAINT pk_attempts PRIMARY KEY (id),
    CONSTRAINT uq_attempts_student_content UNIQUE (student, content),
    CONSTRAINT fk_attempts_content_contents FOREIGN KEY(content) REFERENCES contents (content)
);
CREATE TABLE gradings (
    id INTEGER NOT NULL, -- id
    key_id INTEGER NOT NULL,
    content TEXT NOT NULL,
    round INTEGER,
    status TEXT NOT NULL,
    score DOUBLE NOT NULL,
    max_score DOUBLE NOT NULL,
    auto_score DOUBLE NOT NULL,
    auto_max DOUBLE NOT NULL,
    pending_points DOUBLE NOT NULL,
    seconds DOUBLE NOT NULL,
    phases JSON NOT NULL,
    trained INTEGER NOT NULL,
    reused INTEGER NOT NULL,
    worker TEXT NOT NULL,
    staff TEXT NOT NULL,
    graded_at DATETIME NOT NULL,
    report BLOB NOT NULL,
    CONSTRAINT pk_gradings PRIMARY KEY (id),
    CONSTRAINT uq_gradings_key_id_content_round UNIQUE (key_id, content, round),
    CONSTRAINT fk_gradings_key_id_keys FOREIGN KEY(key_id) REFERENCES keys (id),
    CONSTRAINT fk_gradings_content_contents FOREIGN KEY(content) REFERENCES contents (content)
);
CREATE INDEX ix_gradings_content ON gradings (content);
CREATE TABLE regrades (
    id INTEGER NOT NULL, -- id
    key_id INTEGER NOT NULL,
    content TEXT NOT NULL,
    round INTEGER NOT NULL,
    opened_at DATETIME NOT NULL,
    CONSTRAINT pk_regrades PRIMARY KEY (id),
    CONSTRAINT uq_regrades_key_id_content_round UNIQUE (key_id, content, round),
    CONSTRAINT fk_regrades_key_id_keys FOREIGN KEY(key_id) REFERENCES keys (id),
    CONSTRAINT fk_regrades_content_contents FOREIGN KEY(content) REFERENCES contents (content)
);
CREATE TABLE runs (
    id INTEGER NOT NULL, -- id
    key_id INTEGER NOT NULL,
    started_at DATETIME NOT NULL,
    finished_at DATETIME,
    arguments JSON NOT NULL,
    CONSTRAINT pk_runs PRIMARY KEY (id),
    CONSTRAINT fk_runs_key_id_keys FOREIGN KEY(key_id) REFERENCES keys (id)
);
CREATE TABLE overrides (
    id INTEGER NOT NULL, -- id
    attempt_id INTEGER NOT NULL,
    criterion TEXT NOT NULL,
    points DOUBLE,
    reason TEXT NOT NULL,
    author TEXT NOT NULL,
    made_at DATETIME NOT NULL,
    CONSTRAINT pk_overrides PRIMARY KEY (id),
    CONSTRAINT fk_overrides_attempt_id_attempts FOREIGN KEY(attempt_id) REFERENCES attempts (id)
);
CREATE INDEX ix_overrides_attempt_id ON overrides (attempt_id);
