//go:build !wasip1

package actionsdk

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// okAnswer says that an action is ready, to a proxy and to an invoker.
const okAnswer = `{"ok":true}` + "\n"

// loop speaks the ActionLoop protocol until its input ends: a request on each
// line, its result on a line of results.
func loop(handler Handler, requests io.Reader, results io.Writer) error {
	in := bufio.NewReader(requests)
	for {
		text, err := in.ReadBytes('\n')
		if len(bytes.TrimSpace(text)) > 0 {
			if _, err := results.Write(line(loopAnswer(handler, text))); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func loopAnswer(handler Handler, text []byte) json.RawMessage {
	req, err := parseRequest(text)
	if err != nil {
		return errorAnswer("request: " + err.Error())
	}
	defer req.enter()()
	return answer(handler, req.value)
}
