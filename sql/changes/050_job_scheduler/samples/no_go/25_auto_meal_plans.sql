-- On top of go.sql: the migration that makes the meal plans has not run

DROP TABLE auto_meal_plans;
