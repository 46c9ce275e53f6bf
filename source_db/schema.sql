-- The marketplace database. Column names and types are a contract with everything downstream.
-- Value lists (statuses, tiers) stand in comments, not in CHECKs: a source may grow a value without asking its readers.

CREATE TABLE IF NOT EXISTS users (
    id            uuid PRIMARY KEY,
    email         varchar(255) NOT NULL UNIQUE,
    username      varchar(100) NOT NULL,
    user_type     varchar(20)  NOT NULL,  -- buyer, seller, both
    first_name    varchar(100),
    last_name     varchar(100),
    country_code  char(2),
    seller_tier   varchar(20),            -- bronze, silver, gold, platinum
    seller_rating numeric(3, 2),
    created_at    timestamptz  NOT NULL DEFAULT now(),
    updated_at    timestamptz  NOT NULL DEFAULT now(),
    deleted_at    timestamptz,            -- soft delete
    is_active     boolean      NOT NULL DEFAULT true
);
CREATE INDEX IF NOT EXISTS users_updated_at_idx ON users (updated_at);

CREATE TABLE IF NOT EXISTS categories (
    id         serial PRIMARY KEY,
    name       varchar(100) NOT NULL,
    slug       varchar(100) NOT NULL UNIQUE,
    parent_id  int REFERENCES categories,
    level      int          NOT NULL,     -- 1 = root
    is_active  boolean      NOT NULL DEFAULT true,
    created_at timestamptz  NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS products (
    id                 uuid PRIMARY KEY,
    seller_id          uuid           NOT NULL REFERENCES users,
    category_id        int REFERENCES categories,
    title              varchar(500)   NOT NULL,
    description        text,
    price_amount       numeric(12, 2) NOT NULL,
    price_currency     char(3)        NOT NULL,  -- ISO 4217
    quantity_available int            NOT NULL DEFAULT 0,
    status             varchar(20)    NOT NULL,  -- draft, active, paused, sold_out, deleted
    tags               text[],
    attributes         jsonb,
    created_at         timestamptz    NOT NULL DEFAULT now(),
    updated_at         timestamptz    NOT NULL DEFAULT now(),
    published_at       timestamptz
);
CREATE INDEX IF NOT EXISTS products_seller_id_idx ON products (seller_id);
CREATE INDEX IF NOT EXISTS products_updated_at_idx ON products (updated_at);

CREATE TABLE IF NOT EXISTS orders (
    id                   uuid PRIMARY KEY,
    order_number         varchar(20)    NOT NULL UNIQUE,  -- ORD-YYYYMMDD-NNNNN
    buyer_id             uuid           NOT NULL REFERENCES users,
    status               varchar(30)    NOT NULL,  -- pending, confirmed, processing, shipped, delivered, cancelled, refunded
    subtotal_amount      numeric(12, 2) NOT NULL,
    shipping_amount      numeric(12, 2) NOT NULL DEFAULT 0,
    tax_amount           numeric(12, 2) NOT NULL DEFAULT 0,
    discount_amount      numeric(12, 2) NOT NULL DEFAULT 0,
    total_amount         numeric(12, 2) NOT NULL,
    currency             char(3)        NOT NULL,
    shipping_country     char(2),
    shipping_city        varchar(100),
    shipping_postal_code varchar(20),
    created_at           timestamptz    NOT NULL DEFAULT now(),
    updated_at           timestamptz    NOT NULL DEFAULT now(),
    confirmed_at         timestamp,                -- UTC wall time without a zone
    shipped_at           timestamptz,
    delivered_at         timestamptz
);
CREATE INDEX IF NOT EXISTS orders_buyer_id_idx ON orders (buyer_id);
CREATE INDEX IF NOT EXISTS orders_created_at_idx ON orders (created_at);
CREATE INDEX IF NOT EXISTS orders_updated_at_idx ON orders (updated_at);

CREATE TABLE IF NOT EXISTS order_items (
    id               uuid PRIMARY KEY,
    order_id         uuid           NOT NULL REFERENCES orders,
    product_id       uuid           NOT NULL REFERENCES products,
    seller_id        uuid           NOT NULL REFERENCES users,
    quantity         int            NOT NULL,
    unit_price       numeric(12, 2) NOT NULL,
    total_price      numeric(12, 2) NOT NULL,
    currency         char(3)        NOT NULL,
    product_title    varchar(500),
    product_snapshot jsonb,
    created_at       timestamptz    NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS order_items_order_id_idx ON order_items (order_id);
CREATE INDEX IF NOT EXISTS order_items_product_id_idx ON order_items (product_id);

CREATE TABLE IF NOT EXISTS payments (
    id                  uuid PRIMARY KEY,
    order_id            uuid           NOT NULL REFERENCES orders,
    payment_provider    varchar(50)    NOT NULL,
    payment_provider_id varchar(100),
    amount              numeric(12, 2) NOT NULL,
    currency            char(3)        NOT NULL,
    platform_fee        numeric(12, 2),
    seller_payout       numeric(12, 2),
    status              varchar(30)    NOT NULL,  -- pending, processing, completed, failed, refunded, disputed
    created_at          timestamptz    NOT NULL DEFAULT now(),
    processed_at        timestamptz,
    event_id            varchar(100),             -- the provider's webhook event; not unique
    event_timestamp     timestamptz    NOT NULL
);
CREATE INDEX IF NOT EXISTS payments_order_id_idx ON payments (order_id);
CREATE INDEX IF NOT EXISTS payments_event_id_idx ON payments (event_id);

CREATE TABLE IF NOT EXISTS reviews (
    id                   uuid PRIMARY KEY,
    product_id           uuid        NOT NULL REFERENCES products,
    order_item_id        uuid REFERENCES order_items,
    reviewer_id          uuid        NOT NULL REFERENCES users,
    rating               int         NOT NULL,  -- 1 to 5
    title                varchar(200),
    body                 text,
    is_verified_purchase boolean     NOT NULL DEFAULT false,
    helpful_votes        int         NOT NULL DEFAULT 0,
    status               varchar(20) NOT NULL,  -- pending, approved, rejected, flagged
    moderated_at         timestamptz,
    created_at           timestamptz NOT NULL DEFAULT now(),
    updated_at           timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS reviews_product_id_idx ON reviews (product_id);
CREATE INDEX IF NOT EXISTS reviews_updated_at_idx ON reviews (updated_at);

CREATE TABLE IF NOT EXISTS seller_tier_history (
    id             serial PRIMARY KEY,
    user_id        uuid        NOT NULL REFERENCES users,
    tier           varchar(20) NOT NULL,
    effective_from timestamptz NOT NULL,
    effective_to   timestamptz,            -- NULL = open
    is_current     boolean     NOT NULL,
    change_reason  varchar(100),
    created_at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS seller_tier_history_user_id_idx ON seller_tier_history (user_id);

CREATE TABLE IF NOT EXISTS event_log (
    id              bigserial PRIMARY KEY,
    event_type      varchar(50) NOT NULL,
    entity_type     varchar(50) NOT NULL,
    entity_id       uuid        NOT NULL,
    event_data      jsonb       NOT NULL,
    event_timestamp timestamptz NOT NULL,
    received_at     timestamptz NOT NULL DEFAULT now(),
    processed       boolean     NOT NULL DEFAULT false
);
CREATE INDEX IF NOT EXISTS event_log_entity_id_idx ON event_log (entity_id);
