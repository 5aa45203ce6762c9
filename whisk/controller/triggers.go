package controller

import (
	"wasmwhisk/whisk"
	"wasmwhisk/whisk/store"
)

func (c *Controller) listTriggers(r *request) error {
	return listOwn(r, func(t *whisk.Trigger) *whisk.Header { return t.Head() })
}

func (c *Controller) getTrigger(r *request) error {
	name, err := r.ownName()
	if err != nil {
		return err
	}
	found, _, err := store.Get[*whisk.Trigger](r.ctx(), c.config.Store, name)
	if err != nil {
		return err
	}
	return r.answerTrigger(found)
}

// answerTrigger shows a trigger with its rules, also when it has none.
func (r *request) answerTrigger(t *whisk.Trigger) error {
	shown := *t
	if shown.Rules == nil {
		shown.Rules = map[string]whisk.RuleLink{}
	}
	return r.ok(&shown)
}

func (c *Controller) putTrigger(r *request) error {
	put := &whisk.TriggerPut{}
	if err := r.decode(put); err != nil {
		return err
	}
	w, err := newWrite[*whisk.Trigger](r, put)
	if err != nil {
		return err
	}
	stored, err := w.do(r.ctx(), c.config.Store)
	if err != nil {
		return err
	}
	return r.answerTrigger(stored)
}

func (c *Controller) deleteTrigger(r *request) error {
	name, err := r.ownName()
	if err != nil {
		return err
	}
	removed, err := remove[*whisk.Trigger](r.ctx(), c.config.Store, name, always)
	if err != nil {
		return err
	}
	return r.answerTrigger(removed)
}
