package whisk

import "strings"

// HeaderPut is what requests may say about any entity; nil is not said.
type HeaderPut struct {
	Version     *SemVer     `json:"version,omitempty"`
	Publish     *bool       `json:"publish,omitempty"`
	Annotations *Parameters `json:"annotations,omitempty"`
}

// create makes the header of a new entity.
func (p HeaderPut) create(name FullyQualifiedName, now Timestamp) (Header, error) {
	h := Header{Namespace: name.Path, Name: name.Name}
	updated, err := p.update(h, now)
	if p.Version == nil {
		updated.Version = FirstVersion()
	}
	return updated, err
}

// update makes the next header of an entity, its annotations replaced.
func (p HeaderPut) update(h Header, now Timestamp) (Header, error) {
	h.Version = h.Version.Next()
	h.Updated = now
	replace(&h.Version, p.Version)
	replace(&h.Publish, p.Publish)
	replace(&h.Annotations, p.Annotations)
	return h, h.Annotations.check("annotations")
}

// ActionPut is the body of a PUT of an action.
type ActionPut struct {
	HeaderPut
	Exec           *Exec       `json:"exec,omitempty"`
	Parameters     *Parameters `json:"parameters,omitempty"`
	Limits         *LimitsPut  `json:"limits,omitempty"`
	DelAnnotations []string    `json:"delAnnotations,omitempty"`
}

// The annotations that the platform sets on actions.
const (
	annotationExec   = "exec"
	annotationAPIKey = "provide-api-key"
)

// parameterActions holds the components of a sequence.
const parameterActions = "_actions"

// Create makes the action. Its kind and its limits are the caller's to check,
// since what is allowed is the installation's, or a subject's.
func (p *ActionPut) Create(name FullyQualifiedName, now Timestamp) (*Action, error) {
	if p.Exec == nil {
		return nil, Errorf(BadRequest, "exec undefined")
	}
	h, err := p.create(name, now)
	if err != nil {
		return nil, err
	}
	if _, said := h.Annotations.Get(annotationAPIKey); !said {
		h.Annotations = h.Annotations.With(annotationAPIKey, false)
	}
	return p.apply(&Action{Header: h, Limits: DefaultLimits()})
}

// Update makes the action that comes after old: annotations are merged,
// parameters replaced, limits replaced one by one.
func (p *ActionPut) Update(old *Action, now Timestamp) (*Action, error) {
	merged := old.Annotations.Without(p.DelAnnotations...)
	if p.Annotations != nil {
		merged = merged.Merge(*p.Annotations)
	}
	h, err := HeaderPut{Version: p.Version, Publish: p.Publish, Annotations: &merged}.update(old.Header, now)
	if err != nil {
		return nil, err
	}
	next := &Action{Header: h, Parameters: old.Parameters, Limits: old.Limits, Exec: old.Exec}
	if old.Exec.Kind == KindSequence && p.Exec != nil {
		next.Parameters = nil
	}
	return p.apply(next)
}

// apply sets what create and update treat alike. It changes a.
func (p *ActionPut) apply(a *Action) (*Action, error) {
	replace(&a.Exec, p.Exec)
	replace(&a.Parameters, p.Parameters)
	a.Annotations = a.Annotations.With(annotationExec, a.Exec.Kind)
	if a.Exec.Kind == KindSequence {
		a.Exec.Components, a.Parameters = resolveComponents(a)
	}
	var err error
	if a.Limits, err = p.Limits.Over(a.Limits); err != nil {
		return nil, err
	}
	return a, a.Parameters.check("parameters")
}

// resolveComponents gives the components of a sequence under their full names,
// and the parameters that tell them, which are all that a sequence has.
func resolveComponents(a *Action) ([]FullyQualifiedName, Parameters) {
	components := make([]FullyQualifiedName, len(a.Exec.Components))
	names := make([]string, len(components))
	for i, c := range a.Exec.Components {
		components[i] = c.Resolve(a.Namespace.Namespace())
		names[i] = components[i].String()
	}
	return components, Parameters(nil).With(parameterActions, names)
}

// PackagePut is the body of a PUT of a package.
type PackagePut struct {
	HeaderPut
	Binding    *Binding    `json:"binding,omitempty"`
	Parameters *Parameters `json:"parameters,omitempty"`
}

const (
	annotationBinding = "binding"
	reservedPackage   = "default"
)

// Create makes the package. Whether what it binds may be bound is the caller's
// to check.
func (p *PackagePut) Create(name FullyQualifiedName, now Timestamp) (*Package, error) {
	if name.Name == reservedPackage {
		return nil, Errorf(BadRequest, "Package name '%s' is reserved.", reservedPackage)
	}
	h, err := p.create(name, now)
	if err != nil {
		return nil, err
	}
	return p.apply(&Package{Header: h})
}

// Update makes the package that comes after old.
func (p *PackagePut) Update(old *Package, now Timestamp) (*Package, error) {
	if p.Binding != nil && *p.Binding != (Binding{}) && !old.Bound() {
		return nil, Errorf(Conflict, "Resource is a package and cannot be converted into a binding.")
	}
	h, err := p.update(old.Header, now)
	if err != nil {
		return nil, err
	}
	return p.apply(&Package{Header: h, Binding: old.Binding, Parameters: old.Parameters})
}

func (p *PackagePut) apply(next *Package) (*Package, error) {
	if p.Binding != nil && *p.Binding != (Binding{}) {
		next.Binding = *p.Binding
		if next.Binding.Namespace == Self {
			next.Binding.Namespace = next.Namespace.Namespace()
		}
	}
	next.Annotations = next.Annotations.Without(annotationBinding) // which only the platform sets
	if next.Bound() {
		next.Annotations = next.Annotations.With(annotationBinding, next.Binding)
	}
	replace(&next.Parameters, p.Parameters)
	return next, next.Parameters.check("parameters")
}

// TriggerPut is the body of a PUT of a trigger.
type TriggerPut struct {
	HeaderPut
	Parameters *Parameters `json:"parameters,omitempty"`
}

const annotationFeed = "feed"

// Create makes the trigger.
func (p *TriggerPut) Create(name FullyQualifiedName, now Timestamp) (*Trigger, error) {
	h, err := p.create(name, now)
	if err != nil {
		return nil, err
	}
	if err := checkFeed(h.Annotations); err != nil {
		return nil, err
	}
	return p.apply(&Trigger{Header: h})
}

// checkFeed wants the name of an action, when a feed is named at all.
func checkFeed(annotations Parameters) error {
	if _, named := annotations.Get(annotationFeed); !named {
		return nil
	}
	feed, ok := annotations.Text(annotationFeed)
	for segment := range strings.SplitSeq(strings.TrimPrefix(feed, "/"), "/") {
		ok = ok && validName(segment)
	}
	if !ok {
		return Errorf(BadRequest, "Feed name is not valid")
	}
	return nil
}

// Update makes the trigger that comes after old.
func (p *TriggerPut) Update(old *Trigger, now Timestamp) (*Trigger, error) {
	h, err := p.update(old.Header, now)
	if err != nil {
		return nil, err
	}
	return p.apply(&Trigger{Header: h, Parameters: old.Parameters, Rules: old.Rules})
}

func (p *TriggerPut) apply(next *Trigger) (*Trigger, error) {
	replace(&next.Parameters, p.Parameters)
	return next, next.Parameters.check("parameters")
}

// RulePut is the body of a PUT of a rule. A status in it does not count.
type RulePut struct {
	HeaderPut
	Trigger *FullyQualifiedName `json:"trigger,omitempty"`
	Action  *FullyQualifiedName `json:"action,omitempty"`
}

// Create makes the rule, active. That its trigger and action are there is the
// caller's to check.
func (p *RulePut) Create(name FullyQualifiedName, now Timestamp) (*Rule, error) {
	if p.Trigger == nil || p.Action == nil {
		return nil, Errorf(BadRequest, "rule requires a valid trigger and a valid action")
	}
	h, err := p.create(name, now)
	if err != nil {
		return nil, err
	}
	return p.apply(&Rule{Header: h, Status: RuleActive}), nil
}

// Update makes the rule that comes after old, with its status.
func (p *RulePut) Update(old *Rule, now Timestamp) (*Rule, error) {
	h, err := p.update(old.Header, now)
	if err != nil {
		return nil, err
	}
	return p.apply(&Rule{Header: h, Status: old.Status, Trigger: old.Trigger, Action: old.Action}), nil
}

func (p *RulePut) apply(next *Rule) *Rule {
	replace(&next.Trigger, p.Trigger)
	replace(&next.Action, p.Action)
	ns := next.Namespace.Namespace()
	next.Trigger, next.Action = next.Trigger.Resolve(ns), next.Action.Resolve(ns)
	return next
}
