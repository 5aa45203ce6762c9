-- +goose Up

-- A record ends the promise of its id. The batch that it comes with sees to that:
-- a trigger cost each record a look, and hardly ever is there a promise.
DROP TRIGGER promise_kept;
