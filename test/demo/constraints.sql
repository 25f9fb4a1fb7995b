-- Constraints: what must hold, and what happens when it does not.

-- warn: published, and reported
SELECT depipe.add_constraint('raw.customers', depipe.not_null('email'), on_violation => 'warn');

-- quarantine: the row stays out until it is corrected, the others are published
SELECT depipe.add_constraint('raw.orders', depipe.satisfies('amount >= 0'),
	name => 'amount_not_negative', on_violation => 'quarantine');
SELECT depipe.add_constraint('raw.orders',
	depipe.accepted_values('status', 'placed', 'paid', 'shipped', 'returned'),
	name => 'status_known', on_violation => 'quarantine');
SELECT depipe.add_constraint('raw.order_lines', depipe.in_range('quantity', 1, 1000),
	on_violation => 'quarantine');

-- break (the default): nothing of the batch is published, and the breaker of the table opens
SELECT depipe.add_constraint('raw.orders', depipe.not_null('customer_id'),
	name => 'customer_given');
SELECT depipe.add_constraint('raw.products', depipe.satisfies('price > 0'));
SELECT depipe.add_constraint('mart.sales_by_day', depipe.satisfies('sum(amount) > 0'),
	name => 'something_sold');
SELECT depipe.add_constraint('mart.sales_by_region', depipe.row_count(1, 10));

-- rows against rows of another table: evaluated after all tables of a batch are written
SELECT depipe.add_constraint('raw.orders',
	depipe.relationships('customer_id', 'raw.customers', 'id'), on_violation => 'warn');
SELECT depipe.add_constraint('raw.order_lines',
	depipe.relationships('order_id', 'raw.orders', 'id'),
	name => 'order_exists', on_violation => 'warn');

-- An open breaker of raw.orders retries after two seconds; the default is a minute.
SELECT depipe.configure_breaker('raw.orders', retry_wait => '2 seconds', max_wait => '4 seconds');
