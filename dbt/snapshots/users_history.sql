{#- An audit beside the tiers: what each account looked like when a build saw it. It begins with the first build and
    misses what changed twice between two builds, so no model depends on it (tiers come from seller_tier_history). -#}
{% snapshot users_history %}
{{
    config(
        unique_key='user_id',
        strategy='check',
        check_cols=['user_type', 'country_code', 'seller_tier', 'seller_rating', 'is_active', 'deleted_at'],
        updated_at='updated_at',
        hard_deletes='invalidate',
    )
}}

    select
        user_id,
        user_type,
        country_code,
        seller_tier,
        seller_rating,
        is_active,
        created_at,
        updated_at,
        deleted_at

    from {{ ref('stg_marketplace__users') }}

{% endsnapshot %}
