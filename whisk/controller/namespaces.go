package controller

import "wasmwhisk/whisk"

// listNamespaces answers with the namespace of the caller: a key is for one.
func listNamespaces(r *request) error {
	return r.ok([]whisk.EntityName{r.caller.Namespace})
}

func (c *Controller) getLimits(r *request) error {
	if err := r.own(); err != nil {
		return err
	}
	own := r.caller.Limits
	return r.ok(newUserLimits(c.throttle.Rates(r.caller.Identity), boundsOf(c.config.Bounds, own), own))
}
