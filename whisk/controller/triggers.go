package controller

import "wasmwhisk/whisk"

func (c *Controller) listTriggers(r *request) error {
	return listOwn(r, func(t *whisk.Trigger) *whisk.Header { return t.Head() })
}

func (c *Controller) getTrigger(r *request) error {
	found, err := getOwn[*whisk.Trigger](r)
	return r.answerTrigger(found, err)
}

func (c *Controller) putTrigger(r *request) error {
	stored, err := put[*whisk.Trigger](r, &whisk.TriggerPut{}, nil)
	return r.answerTrigger(stored, err)
}

func (c *Controller) deleteTrigger(r *request) error {
	removed, err := remove[*whisk.Trigger](r, always)
	return r.answerTrigger(removed, err)
}

// answerTrigger shows a trigger with its rules, also when it has none.
func (r *request) answerTrigger(t *whisk.Trigger, err error) error {
	if err != nil {
		return err
	}
	shown := *t
	if shown.Rules == nil {
		shown.Rules = map[string]whisk.RuleLink{}
	}
	return r.ok(&shown)
}
