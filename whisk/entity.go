package whisk

import (
	"encoding/json"
)

// EntityKind is one of the four that share the names of a namespace.
type EntityKind string

// The kinds of entity.
const (
	ActionEntity  EntityKind = "action"
	PackageEntity EntityKind = "package"
	TriggerEntity EntityKind = "trigger"
	RuleEntity    EntityKind = "rule"
)

// Collection is the kind as routes and counts spell it: "actions".
func (k EntityKind) Collection() string { return string(k) + "s" }

// Entity is an *Action, *Package, *Trigger or *Rule.
type Entity interface {
	Kind() EntityKind
	FullName() FullyQualifiedName
	// Head is what all entities have; it may be changed.
	Head() *Header
}

// Header is what all entities have.
type Header struct {
	Namespace   EntityPath `json:"namespace"`
	Name        EntityName `json:"name"`
	Version     SemVer     `json:"version"`
	Publish     bool       `json:"publish"`
	Annotations Parameters `json:"annotations"`
	Updated     Timestamp  `json:"updated"`
}

// FullName is the name of the entity in the whole installation.
func (h *Header) FullName() FullyQualifiedName {
	return FullyQualifiedName{Path: h.Namespace, Name: h.Name}
}

// Head is the header itself.
func (h *Header) Head() *Header { return h }

// Action is code with limits and parameters.
type Action struct {
	Header
	Parameters Parameters   `json:"parameters"`
	Limits     ActionLimits `json:"limits"`
	Exec       Exec         `json:"exec"`
	// Binding is set in answers about an action seen through a bound package.
	Binding *Binding `json:"binding,omitempty"`
}

// Kind is ActionEntity.
func (*Action) Kind() EntityKind { return ActionEntity }

// ActionSummary is an action as lists show it.
type ActionSummary struct {
	Header
	Limits ActionLimits `json:"limits"`
	Exec   execSummary  `json:"exec"`
}

type execSummary struct {
	Binary bool `json:"binary"`
}

// Summary is the action as lists show it.
func (a *Action) Summary() *ActionSummary {
	return &ActionSummary{Header: a.Header, Limits: a.Limits, Exec: execSummary{a.Exec.Binary}}
}

// Binding names the package that another one stands for. The zero value is none,
// and {} in JSON.
type Binding struct {
	Namespace EntityName `json:"namespace"`
	Name      EntityName `json:"name"`
}

// FullName is the name of the package that is bound.
func (b Binding) FullName() FullyQualifiedName {
	return FullyQualifiedName{Path: EntityPath(b.Namespace), Name: b.Name}
}

// MarshalJSON gives {} for none.
func (b Binding) MarshalJSON() ([]byte, error) {
	if b == (Binding{}) {
		return []byte("{}"), nil
	}
	type fields Binding
	return Encode(fields(b))
}

// UnmarshalJSON reads {} as none; else both names must be there.
func (b *Binding) UnmarshalJSON(data []byte) error {
	var in struct{ Namespace, Name string }
	if json.Unmarshal(data, &in) != nil {
		return Malformed("binding malformed!")
	}
	if in.Namespace == "" && in.Name == "" {
		*b = Binding{}
		return nil
	}
	ns, err := ParseEntityName(in.Namespace)
	if err != nil {
		return err
	}
	name, err := ParseEntityName(in.Name)
	if err == nil {
		*b = Binding{Namespace: ns, Name: name}
	}
	return err
}

// Package groups actions under shared parameters, or stands for a package that
// does.
type Package struct {
	Header
	Binding    Binding    `json:"binding"`
	Parameters Parameters `json:"parameters"`
}

// Kind is PackageEntity.
func (*Package) Kind() EntityKind { return PackageEntity }

// Bound reports whether the package stands for another.
func (p *Package) Bound() bool { return p.Binding != Binding{} }

// PackageContents is a package as a GET shows it.
type PackageContents struct {
	Package
	Actions []PackageItem `json:"actions"`
	Feeds   []PackageItem `json:"feeds"`
}

// PackageItem is an action as its package shows it.
type PackageItem struct {
	Name        EntityName `json:"name"`
	Version     SemVer     `json:"version"`
	Annotations Parameters `json:"annotations"`
}

// WithContents adds the package's actions; those with the annotation feed are
// feeds.
func (p *Package) WithContents(actions []*Action) *PackageContents {
	c := &PackageContents{Package: *p, Actions: []PackageItem{}, Feeds: []PackageItem{}}
	for _, a := range actions {
		item := PackageItem{Name: a.Name, Version: a.Version, Annotations: a.Annotations}
		if _, feed := a.Annotations.Get("feed"); feed {
			c.Feeds = append(c.Feeds, item)
		} else {
			c.Actions = append(c.Actions, item)
		}
	}
	return c
}

// Trigger is what rules listen to.
type Trigger struct {
	Header
	Parameters Parameters `json:"parameters"`
	Limits     struct{}   `json:"limits"`
	// Rules are the rules on this trigger, by their ID. A store fills them in
	// from the rules themselves, and ignores them in what it is given.
	Rules map[string]RuleLink `json:"rules"`
}

// Kind is TriggerEntity.
func (*Trigger) Kind() EntityKind { return TriggerEntity }

// RuleLink is a rule as its trigger shows it.
type RuleLink struct {
	Action FullyQualifiedName `json:"action"`
	Status RuleStatus         `json:"status"`
}

// RuleStatus says whether a rule reacts.
type RuleStatus string

// The statuses of a rule.
const (
	RuleActive   RuleStatus = "active"
	RuleInactive RuleStatus = "inactive"
)

// UnmarshalJSON refuses what is neither; "" stands for none.
func (s *RuleStatus) UnmarshalJSON(data []byte) error {
	var text string
	err := json.Unmarshal(data, &text)
	switch status := RuleStatus(text); {
	case err == nil && (status == RuleActive || status == RuleInactive || status == ""):
		*s = status
		return nil
	default:
		return Malformed("rule status malformed, must be 'active' or 'inactive'")
	}
}

// Rule invokes an action when a trigger fires.
type Rule struct {
	Header
	Status  RuleStatus         `json:"status"`
	Trigger FullyQualifiedName `json:"trigger"`
	Action  FullyQualifiedName `json:"action"`
}

// Kind is RuleEntity.
func (*Rule) Kind() EntityKind { return RuleEntity }

// RuleSummary is a rule as lists show it: without its status.
type RuleSummary struct {
	Header
	Trigger FullyQualifiedName `json:"trigger"`
	Action  FullyQualifiedName `json:"action"`
}

// Summary is the rule as lists show it.
func (r *Rule) Summary() *RuleSummary {
	return &RuleSummary{Header: r.Header, Trigger: r.Trigger, Action: r.Action}
}
