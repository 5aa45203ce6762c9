package target

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"

	"wasmwhisk/eval/load"
)

// initBody is the body of an /init.
func initBody(a Action, form Form, code []byte, annotations map[string]any) ([]byte, error) {
	type value struct {
		Name        string         `json:"name"`
		Main        string         `json:"main"`
		Code        string         `json:"code"`
		Binary      bool           `json:"binary"`
		Annotations map[string]any `json:"annotations,omitempty"`
	}
	v := value{Name: a.Name, Main: "main", Code: string(code), Annotations: annotations}
	if form != Script {
		v.Binary, v.Code = true, base64.StdEncoding.EncodeToString(code)
	}
	return json.Marshal(map[string]any{"value": v})
}

// runBody is the body of a /run.
func runBody(a Action) []byte {
	return []byte(`{"value":` + input(a) + `,"namespace":"guest","action_name":"/guest/` + a.Name + `"}`)
}

func input(a Action) string {
	if a.Input == "" {
		return ordinary(a.Program)
	}
	return a.Input
}

// deploy makes an action for a target that has a path for each.
func (b *Builder) deploy(ctx context.Context, form Form, a Action, url string, annotations map[string]any) (*Deployed, error) {
	code, err := b.code(ctx, form, a)
	if err != nil {
		return nil, err
	}
	body, err := initBody(a, form, code, annotations)
	if err != nil {
		return nil, err
	}
	return runtimeAction(a, url+"/"+a.Name, body), nil
}

// destroy is the request that ends an action of such a target.
func destroy(url string, a Action) load.Request {
	return load.Request{Method: http.MethodPost, URL: url + "/" + a.Name + "/destroy"}
}

// runtimeAction is an action behind the runtime protocol: at a URL of its own.
func runtimeAction(a Action, url string, initBody []byte) *Deployed {
	run := post(url+"/run", runBody(a))
	return &Deployed{
		Action: a,
		First:  load.Operation{Prepare: []load.Request{post(url+"/init", initBody)}, Steps: []load.Request{run}},
		Invoke: load.Operation{Steps: []load.Request{run}},
	}
}

func post(url string, body []byte) load.Request {
	return load.Request{Method: http.MethodPost, URL: url, Header: map[string]string{"Content-Type": "application/json"}, Body: body}
}

// annotations are what a program needs to be granted.
func annotations(program string) map[string]any {
	if program == Block {
		return map[string]any{"net": true}
	}
	return nil
}
