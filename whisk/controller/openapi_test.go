package controller

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/whisk"
)

// TestDocumentDescribesTheRoutes holds the document against what is served: the
// same paths, methods and query parameters, and references that lead somewhere.
func TestDocumentDescribesTheRoutes(t *testing.T) {
	t.Parallel()
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	require.NoError(t, json.Unmarshal(openAPI, &document))
	var described []string
	for path, item := range document.Paths {
		for method, operation := range item {
			if method != "parameters" {
				described = append(described, method+" "+path+" "+queryOf(t, operation))
			}
		}
	}
	var served []string
	for _, r := range (&Controller{}).routes() {
		query := slices.Sorted(slices.Values(r.query))
		served = append(served, strings.ToLower(r.method)+" "+braced(r.path)+" "+strings.Join(query, ","))
	}
	assert.ElementsMatch(t, served, described)
}

// braced writes the parameters of a path as OpenAPI does.
func braced(path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if name, ok := strings.CutPrefix(s, ":"); ok {
			segments[i] = "{" + name + "}"
		}
	}
	return strings.Join(segments, "/")
}

func queryOf(t *testing.T, operation json.RawMessage) string {
	t.Helper()
	var described struct {
		Parameters []struct{ Name, In string }
	}
	require.NoError(t, json.Unmarshal(operation, &described))
	var names []string
	for _, p := range described.Parameters {
		if p.In == "query" {
			names = append(names, p.Name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ",")
}

// TestDocumentDescribesTheBodies holds the schemas against what is read and
// written: the same members.
func TestDocumentDescribesTheBodies(t *testing.T) {
	t.Parallel()
	var document struct {
		Components struct {
			Schemas map[string]struct{ Properties map[string]any }
		}
	}
	require.NoError(t, json.Unmarshal(openAPI, &document))
	for name, body := range map[string]any{
		"Error": errorBody{}, "Platform": platform{}, "Runtime": runtime{}, "UserLimits": userLimits{},
		"Header": whisk.Header{}, "KeyValue": whisk.Parameter{}, "Limits": whisk.LimitsPut{}, "Binding": whisk.Binding{},
		"Action": whisk.Action{}, "ActionPut": whisk.ActionPut{}, "ActionSummary": whisk.ActionSummary{},
		"Package": whisk.PackageContents{}, "PackagePut": whisk.PackagePut{}, "PackageItem": whisk.PackageItem{},
		"Trigger": whisk.Trigger{}, "TriggerPut": whisk.TriggerPut{},
		"Rule": whisk.Rule{}, "RulePut": whisk.RulePut{}, "RuleSummary": whisk.RuleSummary{},
		"Activation": whisk.Activation{}, "ActivationSummary": whisk.ActivationSummary{},
	} {
		described := slices.Collect(maps.Keys(document.Components.Schemas[name].Properties))
		assert.ElementsMatch(t, membersOf(reflect.TypeOf(body)), described, name)
	}
}

// membersOf are the names that a struct's fields have in JSON.
func membersOf(t reflect.Type) []string {
	var names []string
	for field := range t.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.Anonymous && name == "" {
			names = append(names, membersOf(field.Type)...)
		} else {
			names = append(names, name)
		}
	}
	return names
}

func TestReferencesInTheDocumentLeadSomewhere(t *testing.T) {
	t.Parallel()
	var document struct {
		Components struct{ Schemas map[string]any }
	}
	require.NoError(t, json.Unmarshal(openAPI, &document))
	const reference = `"$ref": "#/components/schemas/`
	used := map[string]bool{}
	for _, after := range strings.Split(string(openAPI), reference)[1:] {
		name, _, _ := strings.Cut(after, `"`)
		used[name] = true
		assert.Contains(t, document.Components.Schemas, name)
	}
	for name := range document.Components.Schemas {
		assert.Contains(t, used, name, "schema that nothing refers to")
	}
}
