package whisk

import (
	"strconv"
)

// What is appended here is what Encode gives, at a tenth of the cost: each
// activation has a record to write.

// AppendJSON appends the JSON of the summary.
func (s *ActivationSummary) AppendJSON(to []byte) []byte {
	to = appendTextMember(append(to, '{'), "namespace", string(s.Namespace))
	to = appendTextMember(append(to, ','), "name", string(s.Name))
	to = appendTextMember(append(to, ','), "version", s.Version.String())
	to = strconv.AppendBool(append(to, `,"publish":`...), s.Publish)
	to = s.Annotations.AppendJSON(append(to, `,"annotations":`...))
	to = appendTextMember(append(to, ','), "activationId", string(s.ID))
	to = strconv.AppendInt(append(to, `,"start":`...), int64(s.Start), 10)
	if s.End != 0 {
		to = strconv.AppendInt(append(to, `,"end":`...), int64(s.End), 10)
	}
	if s.Duration != nil {
		to = strconv.AppendInt(append(to, `,"duration":`...), *s.Duration, 10)
	}
	if s.Cause != "" {
		to = appendTextMember(append(to, ','), "cause", string(s.Cause))
	}
	return append(strconv.AppendInt(append(to, `,"statusCode":`...), int64(s.StatusCode), 10), '}')
}

// AppendJSON appends an array, also of none. Values are taken for JSON.
func (p Parameters) AppendJSON(to []byte) []byte {
	to = append(to, '[')
	for i, parameter := range p {
		if i > 0 {
			to = append(to, ',')
		}
		to = parameter.appendJSON(to)
	}
	return append(to, ']')
}

func (p *Parameter) appendJSON(to []byte) []byte {
	to = appendTextMember(append(to, '{'), "key", p.Key)
	to = append(to, `,"value":`...)
	if p.Value == nil {
		to = append(to, "null"...)
	}
	to = append(to, p.Value...)
	if p.Init {
		to = append(to, `,"init":true`...)
	}
	if p.Encryption != "" {
		to = appendTextMember(append(to, ','), "encryption", p.Encryption)
	}
	return append(to, '}')
}

// AppendJSON appends every limit.
func (l ActionLimits) AppendJSON(to []byte) []byte {
	to = strconv.AppendInt(append(to, `{"timeout":`...), l.Timeout.Milliseconds(), 10)
	to = strconv.AppendInt(append(to, `,"memory":`...), int64(l.MemoryMB), 10)
	to = strconv.AppendInt(append(to, `,"logs":`...), int64(l.LogsMB), 10)
	to = strconv.AppendInt(append(to, `,"concurrency":`...), int64(l.Concurrency), 10)
	if l.Instances != 0 {
		to = strconv.AppendInt(append(to, `,"instances":`...), int64(l.Instances), 10)
	}
	return append(to, '}')
}

// AppendTexts appends an array of strings, and null for nil.
func AppendTexts(to []byte, texts []string) []byte {
	if texts == nil {
		return append(to, "null"...)
	}
	to = append(to, '[')
	for i, text := range texts {
		if i > 0 {
			to = append(to, ',')
		}
		to = AppendText(to, text)
	}
	return append(to, ']')
}

func appendTextMember(to []byte, key, value string) []byte {
	return AppendText(append(append(append(to, '"'), key...), `":`...), value)
}

// AppendText appends a string as JSON has it.
func AppendText(to []byte, text string) []byte {
	if isPlain(text) {
		return append(append(append(to, '"'), text...), '"')
	}
	encoded, _ := Encode(text) // a string has a JSON form
	return append(to, encoded...)
}

// isPlain tells whether a string stands for itself between quotes.
func isPlain(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
