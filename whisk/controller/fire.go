package controller

import (
	"maps"
	"slices"
	"time"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/invoker"
	"wasmwhisk/whisk/store"
)

// fireTrigger invokes what the active rules of a trigger name. What came of each
// rule stands in the logs of the trigger's own record.
func (c *Controller) fireTrigger(r *request) error {
	name, err := r.ownName()
	if err != nil {
		return err
	}
	if err := c.duty.check(); err != nil {
		return err
	}
	if err := c.throttle.Fire(r.caller.Identity); err != nil {
		return err
	}
	payload, err := r.payload()
	if err != nil {
		return err
	}
	trigger, _, err := store.Get[*whisk.Trigger](r.ctx(), c.config.Store, name)
	if err != nil {
		return err
	}
	args, err := arguments(trigger.Parameters, payload)
	if err != nil {
		return err
	}
	if !reacts(trigger) {
		return r.noContent()
	}
	record := c.fire(r, trigger, args, payload)
	if r.caller.Limits.Records() {
		if err := c.config.Store.Append(r.ctx(), record); err != nil {
			return err
		}
	}
	return r.accepted(record.ID)
}

func reacts(t *whisk.Trigger) bool {
	for _, rule := range t.Rules {
		if rule.Status == whisk.RuleActive {
			return true
		}
	}
	return false
}

// fire activates the rules of a trigger, and gives its record.
func (c *Controller) fire(r *request, t *whisk.Trigger, args, payload []byte) *whisk.Activation {
	if len(payload) == 0 {
		payload = []byte("{}")
	}
	record := &whisk.Activation{
		Namespace: r.caller.Namespace, Name: t.Name, Version: t.Version, Subject: r.caller.Subject,
		ID: whisk.NewActivationID(), Start: whisk.At(time.Now()),
		Response: whisk.Response{Result: payload, Size: len(payload)},
		Logs:     make([]string, 0, len(t.Rules)),
	}
	for _, rule := range slices.Sorted(maps.Keys(t.Rules)) {
		line, _ := whisk.Encode(c.activateRule(r, rule, t.Rules[rule], args)) // has a JSON form
		record.Logs = append(record.Logs, string(line))
	}
	return record
}

// ruleResult is what a rule led to, as the trigger's record tells it.
type ruleResult struct {
	StatusCode   whisk.Status       `json:"statusCode"`
	Success      bool               `json:"success"`
	ActivationID whisk.ActivationID `json:"activationId,omitempty"`
	Rule         string             `json:"rule"`
	Action       string             `json:"action"`
	Error        string             `json:"error,omitempty"`
}

func (c *Controller) activateRule(r *request, rule string, link whisk.RuleLink, args []byte) ruleResult {
	result := ruleResult{Rule: rule, Action: link.Action.ID()}
	inv, err := c.invokeByRule(r, rule, link, args)
	if err != nil {
		answer := refusalOf(err)
		result.StatusCode, result.Error = whisk.ApplicationError, answer.message
		if answer.status >= 500 {
			result.StatusCode = whisk.InternalError
		}
		return result
	}
	result.Success, result.ActivationID = true, inv.ID
	return result
}

// invokeByRule has the action of a rule run, as its owner would by hand.
func (c *Controller) invokeByRule(r *request, rule string, link whisk.RuleLink, args []byte) (invoker.Invocation, error) {
	if link.Status != whisk.RuleActive {
		return invoker.Invocation{}, whisk.Errorf(whisk.BadRequest,
			"Rule '%s' is inactive, action '%s' was not activated.", rule, link.Action.ID())
	}
	inv, err := c.admit(r, link.Action, func() ([]byte, error) { return args, nil })
	if err != nil {
		return inv, err
	}
	return inv, c.acceptLater(r, inv)
}
