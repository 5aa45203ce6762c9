package controller

import (
	"strconv"
	"strings"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/store"
)

const activationsCollection = "activations"

// listActivations answers with records, what lists show of them, or how many
// there are.
func (c *Controller) listActivations(r *request) error {
	q, err := r.activationQuery()
	if err != nil {
		return err
	}
	counting, err := r.flag("count", no)
	if err != nil {
		return err
	}
	whole, err := r.flag("docs", no)
	switch {
	case err != nil:
		return err
	case counting && whole:
		return whisk.Errorf(whisk.BadRequest, "The parameter 'docs' is not permitted with 'count'.")
	case counting:
		n, err := c.config.Store.CountActivations(r.ctx(), q)
		return r.count(activationsCollection, n, err)
	case whole:
		records, err := c.config.Store.ListActivations(r.ctx(), q)
		return answerList(r, records, err)
	}
	summaries, err := c.config.Store.ListSummaries(r.ctx(), q)
	return answerList(r, summaries, err)
}

// answerList answers with an array, also when there is nothing to list.
func answerList[E any](r *request, found []E, err error) error {
	if err != nil {
		return err
	}
	return r.ok(append(make([]E, 0, len(found)), found...))
}

// activationQuery reads which records are wanted.
func (r *request) activationQuery() (store.ActivationQuery, error) {
	if err := r.own(); err != nil {
		return store.ActivationQuery{}, err
	}
	q := store.ActivationQuery{Namespace: r.namespace}
	var err error
	if q.Page, err = r.page(activationsCollection); err != nil {
		return q, err
	}
	if q.Since, err = r.epoch("since"); err != nil {
		return q, err
	}
	if q.Upto, err = r.epoch("upto"); err != nil {
		return q, err
	}
	q.Name, err = r.nameFilter()
	return q, err
}

// epoch is a query parameter with a point in time.
func (r *request) epoch(name string) (whisk.Timestamp, error) {
	text, ok := r.query(name)
	if !ok {
		return 0, nil
	}
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, badQuery(name, "Parameter is not a valid value for epoch seconds: %s", text)
	}
	return whisk.Timestamp(ms), nil
}

// nameFilter is "action" or "package/action", or "" for all.
func (r *request) nameFilter() (string, error) {
	text, ok := r.query("name")
	if !ok || text == "" {
		return "", nil
	}
	segments := strings.Split(text, "/")
	bad := len(segments) > 2
	for _, s := range segments {
		_, err := whisk.ParseEntityName(s)
		bad = bad || err != nil
	}
	if bad {
		return "", badQuery("name", "Parameter may be a 'simple' name or 'package-name/simple' name: %s", text)
	}
	return text, nil
}

// record gives the record that the path names.
func (c *Controller) record(r *request) (*whisk.Activation, error) {
	if err := r.own(); err != nil {
		return nil, err
	}
	id, err := whisk.ParseActivationID(r.Param("id"))
	if err != nil {
		return nil, err
	}
	return c.config.Store.Activation(r.ctx(), r.namespace, id)
}

func (c *Controller) getActivation(r *request) error {
	record, err := c.record(r)
	if err != nil {
		return err
	}
	return r.ok(record)
}

func (c *Controller) getResult(r *request) error {
	record, err := c.record(r)
	if err != nil {
		return err
	}
	return r.ok(record.Response)
}

func (c *Controller) getLogs(r *request) error {
	record, err := c.record(r)
	if err != nil {
		return err
	}
	return r.ok(map[string][]string{"logs": append([]string{}, record.Logs...)})
}
