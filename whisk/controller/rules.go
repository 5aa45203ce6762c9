package controller

import (
	"context"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/entitlement"
	"wasmwhisk/whisk/store"
)

func (c *Controller) listRules(r *request) error { return listOwn(r, (*whisk.Rule).Summary) }

func (c *Controller) getRule(r *request) error {
	found, err := getOwn[*whisk.Rule](r)
	if err != nil {
		return err
	}
	return r.ok(found)
}

func (c *Controller) putRule(r *request) error {
	stored, err := put(r, &whisk.RulePut{}, func(ctx context.Context, tx store.Entities, next *whisk.Rule) error {
		return checkRule(ctx, tx, r.caller.Identity, next)
	})
	if err != nil {
		return err
	}
	return r.ok(stored)
}

// checkRule wants both ends of a rule to be there, and to be the owner's to use.
func checkRule(ctx context.Context, tx store.Entities, who *whisk.Identity, rule *whisk.Rule) error {
	if !entitlement.Owns(who, rule.Trigger.Path) {
		return entitlement.Forbidden(rule.Trigger.ID())
	}
	if _, _, err := store.Get[*whisk.Trigger](ctx, tx, rule.Trigger); err != nil {
		return missingEnd(err, "trigger", rule.Trigger)
	}
	_, err := findAction(ctx, tx, who, rule.Action)
	return missingEnd(err, "action", rule.Action)
}

func missingEnd(err error, what string, name whisk.FullyQualifiedName) error {
	if errors.Is(err, store.ErrNotFound) {
		return whisk.Errorf(whisk.BadRequest, "%s %s does not exist", what, name)
	}
	return err
}

// setRuleStatus has a rule react, or not.
func (c *Controller) setRuleStatus(r *request) error {
	name, err := r.ownName()
	if err != nil {
		return err
	}
	var wanted struct {
		Status whisk.RuleStatus `json:"status"`
	}
	if err := r.decode(&wanted); err != nil {
		return err
	}
	if wanted.Status == "" {
		return whisk.Malformed("rule status malformed, must be 'active' or 'inactive'")
	}
	err = c.config.Store.Update(r.ctx(), func(tx store.Entities) error {
		return setStatus(r.ctx(), tx, name, wanted.Status)
	})
	if err != nil {
		return err
	}
	return send(r, http.StatusOK, echo.MIMETextPlainCharsetUTF8, []byte("OK"))
}

func setStatus(ctx context.Context, tx store.Entities, name whisk.FullyQualifiedName, status whisk.RuleStatus) error {
	found, rev, err := store.Get[*whisk.Rule](ctx, tx, name)
	if err != nil || found.Status == status {
		return err
	}
	_, _, err = store.Get[*whisk.Trigger](ctx, tx, found.Trigger)
	if errors.Is(err, store.ErrNotFound) {
		return whisk.Errorf(whisk.NotFound, "Only rules with existing triggers can be activated")
	}
	if err != nil {
		return err
	}
	next := *found
	next.Status = status
	_, err = tx.Put(ctx, &next, rev)
	return err
}

// deleteRule removes a rule, which is inactive from then on.
func (c *Controller) deleteRule(r *request) error {
	removed, err := remove[*whisk.Rule](r, always)
	if err != nil {
		return err
	}
	gone := *removed
	gone.Status = whisk.RuleInactive
	return r.ok(&gone)
}
