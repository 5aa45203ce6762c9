package controller

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/labstack/echo/v4"
)

// openAPI is the document that describes what is served.
//
//go:embed openapi.json
var openAPI []byte

func apiDocument(e echo.Context) error {
	return send(e, http.StatusOK, echo.MIMEApplicationJSON, openAPI)
}

// docsPage shows the document to people.
//
//go:embed docs.html
var docsPage string

// docs gives a handler that answers with a page of the document, which is made
// when it is first asked for.
func docs() echo.HandlerFunc {
	made := sync.OnceValues(newDocsPage)
	return func(e echo.Context) error {
		page, err := made()
		if err != nil {
			return fmt.Errorf("page of the API's document: %w", err)
		}
		return send(e, http.StatusOK, echo.MIMETextHTMLCharsetUTF8, page)
	}
}

// document is what the page shows of the OpenAPI document.
type document struct {
	Info struct{ Title, Description string }
	// Paths have operations by method, and "parameters" of all of them.
	Paths map[string]map[string]json.RawMessage
}

// operation is one thing that can be asked for.
type operation struct {
	Method, Path string
	Summary      string
	Parameters   []struct{ Name, In, Description string }
	Responses    map[string]struct{ Description string }
}

func newDocsPage() ([]byte, error) {
	var d document
	if err := json.Unmarshal(openAPI, &d); err != nil {
		return nil, err
	}
	operations, err := d.operations()
	if err != nil {
		return nil, err
	}
	page, err := template.New("docs").Parse(docsPage)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = page.Execute(&b, map[string]any{"Info": d.Info, "Document": documentPath, "Operations": operations})
	return b.Bytes(), err
}

// operations are those of all paths, in the order of paths and methods.
func (d document) operations() ([]operation, error) {
	var all []operation
	for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(d.Paths[path])) {
			if method == "parameters" {
				continue
			}
			o := operation{Method: strings.ToUpper(method), Path: path}
			if err := json.Unmarshal(d.Paths[path][method], &o); err != nil {
				return nil, fmt.Errorf("%s of %s: %w", method, path, err)
			}
			all = append(all, o)
		}
	}
	return all, nil
}
