package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"
)

// guestUser and guestPassword are the key of namespace guest that every
// OpenWhisk standalone has.
const (
	guestUser     = "23bc46b1-71f6-4ed5-8c54-816aa4f8c502"
	guestPassword = "123zO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP"
)

// memory is what a client was told, and may hold the server to.
type memory struct {
	versions  map[string]string // of the actions that are there, by name
	unsure    map[string]bool   // names whose last write was not answered
	recorded  []string          // activations whose record was answered
	accepted  []string          // activations that were promised
	triggered []string          // the same, of triggers
}

// client changes and invokes what has its name, one thing after the other.
type client struct {
	name   string
	code   string // base64
	random *rand.Rand
	http   *http.Client
	url    string
	memory
}

func newClient(i int, code string) *client {
	return &client{
		name: fmt.Sprintf("client%d", i), code: code,
		random: rand.New(rand.NewPCG(uint64(i), 1)),
		http:   &http.Client{Timeout: 10 * time.Second},
		memory: memory{versions: map[string]string{}, unsure: map[string]bool{}},
	}
}

// reply is an answer; status 0 is none.
type reply struct {
	status int
	body   []byte
}

func (c *client) do(method, path, body string) reply {
	req, err := http.NewRequestWithContext(context.Background(), method, c.url+"/api/v1/namespaces/_/"+path, strings.NewReader(body))
	if err != nil {
		return reply{}
	}
	req.SetBasicAuth(guestUser, guestPassword)
	req.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return reply{}
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return reply{}
	}
	return reply{res.StatusCode, bytes.TrimSpace(data)}
}

// field is a string of an answer.
func (r reply) field(name string) string {
	var object map[string]any
	_ = json.Unmarshal(r.body, &object)
	text, _ := object[name].(string)
	return text
}

// work goes on until the server is gone; the error is an answer that a server
// in order does not give.
func (c *client) work() error {
	for {
		r, err := c.step()
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		if r.status == 0 {
			return nil
		}
	}
}

func (c *client) step() (reply, error) {
	action := fmt.Sprintf("%s-%d", c.name, c.random.IntN(5))
	switch c.random.IntN(5) {
	case 0:
		return c.put(action)
	case 1:
		return c.remove(action)
	case 2:
		return c.fire()
	case 3:
		return c.invoke("echo?blocking=true", http.StatusOK, &c.recorded)
	default:
		return c.invoke("echo", http.StatusAccepted, &c.accepted)
	}
}

func (c *client) put(action string) (reply, error) {
	r := c.do(http.MethodPut, "actions/"+action+"?overwrite=true", fmt.Sprintf(`{"exec":{"kind":"wasm:0.1","code":%q}}`, c.code))
	if r.status == http.StatusOK {
		c.versions[action] = r.field("version")
		delete(c.unsure, action)
	}
	return r, c.wrote(action, r, http.StatusOK)
}

func (c *client) remove(action string) (reply, error) {
	_, there := c.versions[action]
	r := c.do(http.MethodDelete, "actions/"+action, "")
	if there && !c.unsure[action] && r.status == http.StatusNotFound {
		return r, fmt.Errorf("%s was there and is not", action)
	}
	if r.status == http.StatusOK || r.status == http.StatusNotFound {
		delete(c.versions, action)
		delete(c.unsure, action)
	}
	return r, c.wrote(action, r, http.StatusOK, http.StatusNotFound)
}

// wrote remembers a write without an answer.
func (c *client) wrote(action string, r reply, want ...int) error {
	if r.status == 0 {
		c.unsure[action] = true
	}
	return r.want(want...)
}

func (c *client) fire() (reply, error) {
	return c.answered(c.do(http.MethodPost, "triggers/event", `{"a":1}`), http.StatusAccepted, &c.triggered)
}

func (c *client) invoke(action string, want int, ids *[]string) (reply, error) {
	return c.answered(c.do(http.MethodPost, "actions/"+action, `{"a":1}`), want, ids)
}

func (c *client) answered(r reply, want int, ids *[]string) (reply, error) {
	if r.status == want {
		*ids = append(*ids, r.field("activationId"))
	}
	return r, r.want(want)
}

// want accepts an answer of one of the statuses, or none.
func (r reply) want(statuses ...int) error {
	if r.status == 0 || slices.Contains(statuses, r.status) {
		return nil
	}
	return fmt.Errorf("answered %d %s", r.status, r.body)
}

// check holds the server to what it answered before it was killed.
func (c *client) check() error {
	for i := range 5 {
		action := fmt.Sprintf("%s-%d", c.name, i)
		if err := c.checkAction(action); err != nil {
			return err
		}
	}
	for _, id := range c.recorded {
		if r := c.do(http.MethodGet, "activations/"+id, ""); r.status != http.StatusOK {
			return fmt.Errorf("the record of %s was answered: %d %s", id, r.status, r.body)
		}
	}
	for _, id := range append(c.accepted, c.triggered...) {
		if err := c.checkAccepted(id); err != nil {
			return err
		}
	}
	c.recorded, c.accepted, c.triggered = nil, nil, nil
	return nil
}

func (c *client) checkAction(action string) error {
	r := c.do(http.MethodGet, "actions/"+action, "")
	version, there := c.versions[action]
	switch {
	case c.unsure[action]: // both are right; the next write settles it
		return r.want(http.StatusOK, http.StatusNotFound)
	case there && (r.status != http.StatusOK || r.field("version") != version):
		return fmt.Errorf("%s was answered to be at %s: %d %s", action, version, r.status, r.body)
	case !there && r.status != http.StatusNotFound:
		return fmt.Errorf("%s was answered to be gone: %d", action, r.status)
	}
	return nil
}

// checkAccepted waits for a record that was promised.
func (c *client) checkAccepted(id string) error {
	var r reply
	for range 200 {
		if r = c.do(http.MethodGet, "activations/"+id, ""); r.status == http.StatusOK {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("%s was accepted and has no record: %d %s", id, r.status, r.body)
}
