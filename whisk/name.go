package whisk

import (
	"encoding/json"
	"strings"
	"unicode"
)

// MaxNameBytes bounds one segment of a name.
const MaxNameBytes = 256

// EntityName is the name of an action, package, trigger, rule or namespace: one
// segment, without slashes.
type EntityName string

// ParseEntityName checks s; its errors are BadRequest with OpenWhisk's texts.
func ParseEntityName(s string) (EntityName, error) {
	if len(s) > MaxNameBytes {
		return "", Errorf(BadRequest, "Name segement longer than allowed: %d > %d.", len(s), MaxNameBytes)
	}
	if !validName(s) {
		return "", Errorf(BadRequest, "The name of the entity contains illegal characters.")
	}
	return EntityName(s), nil
}

// validName wants word characters at the start, and at the end no space.
func validName(s string) bool {
	if s == "" || !isWord(s[0]) || s[len(s)-1] == ' ' {
		return false
	}
	for i := range len(s) {
		if !isWord(s[i]) && !strings.ContainsRune("@ .&-", rune(s[i])) {
			return false
		}
	}
	return true
}

func isWord(c byte) bool {
	return c < unicode.MaxASCII && (c == '_' || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z')
}

// EntityPath is where an entity lives: a namespace ("guest"), or a package of
// one ("guest/pkg").
type EntityPath string

// Self is the namespace that stands for the caller's own.
const Self EntityName = "_"

// PackagePath is the path of the entities in package pkg of namespace ns.
func PackagePath(ns, pkg EntityName) EntityPath { return EntityPath(ns + "/" + pkg) }

// Namespace is the first segment.
func (p EntityPath) Namespace() EntityName {
	ns, _, _ := strings.Cut(string(p), "/")
	return EntityName(ns)
}

// Package is the second segment, "" for the default package.
func (p EntityPath) Package() EntityName {
	_, pkg, _ := strings.Cut(string(p), "/")
	return EntityName(pkg)
}

// Resolve puts ns in the place of a leading "_".
func (p EntityPath) Resolve(ns EntityName) EntityPath {
	if p.Namespace() != Self {
		return p
	}
	return EntityPath(string(ns) + strings.TrimPrefix(string(p), string(Self)))
}

// FullyQualifiedName names one entity of the whole installation. In JSON it is
// {"path": "guest/pkg", "name": "add"}; a string as ParseFullyQualifiedName
// reads it is understood too.
type FullyQualifiedName struct {
	Path EntityPath `json:"path"`
	Name EntityName `json:"name"`
}

// ParseFullyQualifiedName reads "/ns/name" or "/ns/pkg/name"; the slash in front
// may be left out. A namespace of "_" is kept: see Resolve.
func ParseFullyQualifiedName(s string) (FullyQualifiedName, error) {
	segments := strings.Split(strings.TrimPrefix(s, "/"), "/")
	if len(segments) < 2 || len(segments) > 3 {
		return FullyQualifiedName{}, Malformed("The fully qualified name of the entity must contain at least the namespace and the name of the entity.")
	}
	for _, segment := range segments {
		if _, err := ParseEntityName(segment); err != nil {
			return FullyQualifiedName{}, err
		}
	}
	last := len(segments) - 1
	return FullyQualifiedName{
		Path: EntityPath(strings.Join(segments[:last], "/")),
		Name: EntityName(segments[last]),
	}, nil
}

// String is the name as clients write it: "/guest/pkg/add".
func (n FullyQualifiedName) String() string { return "/" + n.ID() }

// ID is the name without the slash in front: "guest/pkg/add".
func (n FullyQualifiedName) ID() string { return string(n.Path) + "/" + string(n.Name) }

// Resolve puts ns in the place of a namespace of "_".
func (n FullyQualifiedName) Resolve(ns EntityName) FullyQualifiedName {
	return FullyQualifiedName{Path: n.Path.Resolve(ns), Name: n.Name}
}

// UnmarshalJSON reads both spellings.
func (n *FullyQualifiedName) UnmarshalJSON(data []byte) error {
	s, err := joinedName(data)
	if err != nil {
		return err
	}
	*n, err = ParseFullyQualifiedName(s)
	return err
}

func joinedName(data []byte) (string, error) {
	var s string
	if json.Unmarshal(data, &s) == nil {
		return s, nil
	}
	var object struct{ Path, Name string }
	if json.Unmarshal(data, &object) != nil {
		return "", Malformed("fully qualified name malformed!")
	}
	return object.Path + "/" + object.Name, nil
}
