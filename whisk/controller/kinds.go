package controller

import (
	"bytes"
	"fmt"
	"strings"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/entitlement"
)

// runtime is a kind of action, as GET / tells it.
type runtime struct {
	Kind        whisk.Kind `json:"kind"`
	Image       string     `json:"image"`
	Deprecated  bool       `json:"deprecated"`
	Default     bool       `json:"default"`
	Attached    bool       `json:"attached"`
	RequireMain bool       `json:"requireMain"`
}

// family is a runtime in its versions, the newest of which stands for all.
type family struct {
	name        string
	image       string // of OpenWhisk's own, with a %s for the version; "" for what is executed here
	versions    []string
	deprecated  int // so many of the first versions
	requireMain bool
}

// families are the kinds that actions may have: what is executed here, and what
// OpenWhisk executes, so that tools that deploy for both find it.
func families() []family {
	return []family{
		{name: "wasm", versions: []string{"0.1"}},
		{name: "nodejs", image: "openwhisk/action-nodejs-v%s", versions: []string{"14", "16", "18", "20"}, deprecated: 1},
		{name: "python", image: "openwhisk/action-python-v%s", versions: []string{"3", "3.9", "3.10", "3.11", "3.12"}},
		{name: "go", image: "openwhisk/action-golang-v%s", versions: []string{"1.15", "1.17", "1.19", "1.20"}},
		{name: "java", image: "openwhisk/java%saction", versions: []string{"8"}, requireMain: true},
		{name: "php", image: "openwhisk/action-php-v%s", versions: []string{"7.4", "8.0", "8.1"}, deprecated: 1},
		{name: "ruby", image: "openwhisk/action-ruby-v%s", versions: []string{"2.5"}},
		{name: "swift", image: "openwhisk/action-swift-v%s", versions: []string{"5.1", "5.3", "5.4", "5.7"}},
		{name: "rust", image: "openwhisk/action-rust-v%s", versions: []string{"1.34"}},
		{name: "dotnet", image: "openwhisk/action-dotnet-v%s", versions: []string{"2.2", "3.1", "6.0"}},
		{name: "ballerina", image: "openwhisk/action-ballerina-v%s", versions: []string{"0.990"}},
	}
}

// newest is the version that the family stands for.
func (f family) newest() string { return f.versions[len(f.versions)-1] }

func (f family) kind(version string) whisk.Kind { return whisk.Kind(f.name + ":" + version) }

// runtimes are the versions of a family as GET / tells them.
func (f family) runtimes() []runtime {
	list := make([]runtime, len(f.versions))
	for i, v := range f.versions {
		image := "wasmwhisk"
		if f.image != "" {
			image = fmt.Sprintf(f.image, v)
		}
		list[i] = runtime{Kind: f.kind(v), Image: image, Deprecated: i < f.deprecated, Default: v == f.newest(), Attached: true, RequireMain: f.requireMain}
	}
	return list
}

// resolveKind gives the kind that a name stands for.
func resolveKind(kind whisk.Kind) (whisk.Kind, error) {
	if kind == whisk.KindSequence || kind == whisk.KindBlackbox {
		return kind, nil
	}
	var known []string
	for _, f := range families() {
		if kind == f.kind("default") {
			return f.kind(f.newest()), nil
		}
		for _, v := range f.versions {
			if kind == f.kind(v) {
				return kind, nil
			}
			known = append(known, "'"+string(f.kind(v))+"'")
		}
	}
	return "", whisk.Malformed(fmt.Sprintf("The specified runtime '%s' is not supported by this platform. Valid values are: %s.", kind, strings.Join(known, ", ")))
}

// checkKind refuses actions of a kind that is no longer run, or that the caller
// may not have.
func checkKind(who *whisk.Identity, kind whisk.Kind) error {
	if err := entitlement.CheckKind(who, kind); err != nil {
		return err
	}
	if kind == whisk.KindWasm {
		return nil // without a look at the others: every invocation comes here
	}
	for _, f := range families() {
		for _, v := range f.versions[:f.deprecated] {
			if kind == f.kind(v) {
				return whisk.Errorf(whisk.BadRequest, "The '%s' runtime is no longer supported. You may read and delete but not update or invoke this action.", kind)
			}
		}
	}
	return nil
}

const textDamaged = "The code of this action was damaged on its way: its bytes were taken for text. " +
	"wsk does this to a raw .wasm file. Put the module in a zip, or in a text file as base64, or send it with Content-Type %s."

// checkUpload refuses a module whose bytes a client took for text, which nothing
// can be made of any more.
func checkUpload(exec *whisk.Exec) error {
	if exec.Kind != whisk.KindWasm || exec.Binary {
		return nil
	}
	if bytes.HasPrefix(exec.Code, []byte("\x00asm")) || bytes.ContainsRune(exec.Code, '\uFFFD') {
		return whisk.Errorf(whisk.BadRequest, textDamaged, typeWasm)
	}
	return nil
}
