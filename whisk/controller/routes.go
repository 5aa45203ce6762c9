package controller

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

const (
	apiPath      = "/api/v1"
	documentPath = "/api-docs"
	docsPath     = "/docs"

	namespacePath  = apiPath + "/namespaces/:namespace"
	actionsPath    = namespacePath + "/actions"
	triggersPath   = namespacePath + "/triggers"
	rulesPath      = namespacePath + "/rules"
	packagesPath   = namespacePath + "/packages"
	activationPath = namespacePath + "/activations"
)

// route is one thing that can be asked for. It has one of two handlers: one
// for callers who are known, one for everybody.
type route struct {
	method, path string
	handle       handler
	public       echo.HandlerFunc
	query        []string // the query parameters that it knows
	slash        bool     // its path may end in a slash, too
}

// routes is all that is served; the API's document is checked against it.
func (c *Controller) routes() []route {
	const get, put, post, del = http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete
	list := []string{"limit", "skip", "count"}
	overwrite := []string{"overwrite"}
	invoke := []string{"blocking", "result", "timeout"}
	show := docs()
	return []route{
		{method: get, path: "/", public: c.describe},
		{method: get, path: "/ping", public: ping},
		{method: get, path: "/metrics", public: c.metricsPage()},
		{method: get, path: "/invokers", public: c.duty.invokers, slash: true},
		{method: get, path: "/invokers/healthy/count", public: c.duty.healthyInvokers},
		{method: get, path: "/invokers/ready", public: c.duty.invokersReady},
		{method: post, path: "/disable", public: c.duty.disable()},
		{method: post, path: "/enable", public: c.duty.enable()},
		{method: get, path: "/activation", public: c.activationsInFlight, slash: true},
		{method: get, path: "/activation/count", public: c.countInFlight},
		{method: get, path: documentPath, public: apiDocument, slash: true},
		{method: get, path: docsPath, public: show, slash: true},
		{method: get, path: apiPath, public: c.describeAPI, slash: true},
		{method: get, path: apiPath + documentPath, public: apiDocument, slash: true},
		{method: get, path: apiPath + docsPath, public: show, slash: true},

		{method: get, path: apiPath + "/namespaces", handle: listNamespaces, slash: true},
		{method: get, path: namespacePath + "/limits", handle: c.getLimits, slash: true},

		{method: get, path: actionsPath, handle: c.listActions, query: list, slash: true},
		{method: get, path: actionsPath + "/:package/", handle: c.listPackageActions, query: list},
		{method: get, path: actionsPath + "/:name", handle: c.getAction, query: []string{"code"}},
		{method: put, path: actionsPath + "/:name", handle: c.putAction, query: overwrite},
		{method: post, path: actionsPath + "/:name", handle: c.invokeAction, query: invoke},
		{method: del, path: actionsPath + "/:name", handle: c.deleteAction},
		{method: get, path: actionsPath + "/:package/:name", handle: c.getAction, query: []string{"code"}},
		{method: put, path: actionsPath + "/:package/:name", handle: c.putAction, query: overwrite},
		{method: post, path: actionsPath + "/:package/:name", handle: c.invokeAction, query: invoke},
		{method: del, path: actionsPath + "/:package/:name", handle: c.deleteAction},

		{method: get, path: triggersPath, handle: c.listTriggers, query: list, slash: true},
		{method: get, path: triggersPath + "/:name", handle: c.getTrigger},
		{method: put, path: triggersPath + "/:name", handle: c.putTrigger, query: overwrite},
		{method: post, path: triggersPath + "/:name", handle: c.fireTrigger},
		{method: del, path: triggersPath + "/:name", handle: c.deleteTrigger},

		{method: get, path: rulesPath, handle: c.listRules, query: list, slash: true},
		{method: get, path: rulesPath + "/:name", handle: c.getRule},
		{method: put, path: rulesPath + "/:name", handle: c.putRule, query: overwrite},
		{method: post, path: rulesPath + "/:name", handle: c.setRuleStatus},
		{method: del, path: rulesPath + "/:name", handle: c.deleteRule},

		{method: get, path: packagesPath, handle: c.listPackages, query: list, slash: true},
		{method: get, path: packagesPath + "/:name", handle: c.getPackage},
		{method: put, path: packagesPath + "/:name", handle: c.putPackage, query: overwrite},
		{method: del, path: packagesPath + "/:name", handle: c.deletePackage, query: []string{"force"}},

		{method: get, path: activationPath, handle: c.listActivations, query: append(list, "docs", "since", "upto", "name"), slash: true},
		{method: get, path: activationPath + "/:id", handle: c.getActivation, slash: true},
		{method: get, path: activationPath + "/:id/result", handle: c.getResult},
		{method: get, path: activationPath + "/:id/logs", handle: c.getLogs},
	}
}
