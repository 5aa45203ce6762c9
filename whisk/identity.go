package whisk

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"log/slog"
	"strings"
)

// Key is what a client authenticates with, by HTTP's basic scheme: a UUID, which
// names a namespace of a subject, and a secret.
type Key struct {
	UUID   string
	Secret string
}

const secretLength = 64

// GuestKey is the key of namespace guest that every OpenWhisk standalone has. All
// the world knows it, so that it must be accepted on loopback only.
func GuestKey() Key {
	return Key{ //nolint:gosec // known to all the world, which is its purpose
		UUID:   "23bc46b1-71f6-4ed5-8c54-816aa4f8c502",
		Secret: "123zO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP",
	}
}

// Guest is the name of the subject, and of the namespace, of GuestKey.
const Guest = "guest"

// WellKnown reports whether all the world knows k, in constant time: it opens
// nothing to who does not come over loopback.
func (k Key) WellKnown() bool {
	return subtle.ConstantTimeCompare([]byte(k.Secret), []byte(GuestKey().Secret)) == 1
}

// NewKey gives a random one: 64 letters and digits are 380 bits.
func NewKey() Key { return Key{UUID: newUUID(), Secret: randomSecret()} }

// Renew gives a new secret for the same namespace.
func (k Key) Renew() Key { return Key{UUID: k.UUID, Secret: randomSecret()} }

func newUUID() string {
	id := NewActivationID()
	return fmt.Sprintf("%s-%s-%s-%s-%s", id[:8], id[8:12], id[12:16], id[16:20], id[20:])
}

func randomSecret() string {
	var s strings.Builder
	for s.Len() < secretLength {
		var b [secretLength]byte
		_, _ = rand.Read(b[:]) // never fails
		s.WriteString(strings.NewReplacer("-", "", "_", "").Replace(base64.RawURLEncoding.EncodeToString(b[:])))
	}
	return s.String()[:secretLength]
}

// ParseKey reads "uuid:secret".
func ParseKey(s string) (Key, error) {
	uuid, secret, ok := strings.Cut(s, ":")
	if !ok || uuid == "" || secret == "" {
		return Key{}, Errorf(Unauthenticated, "The supplied authentication is invalid.")
	}
	return Key{UUID: uuid, Secret: secret}, nil
}

// Strong reports whether the secret is as long as those that NewKey makes: only
// then it cannot be guessed, and may be stored as a plain digest.
func (k Key) Strong() bool { return len(k.Secret) >= secretLength }

// Text is "uuid:secret", as clients are configured with it.
func (k Key) Text() string { return k.UUID + ":" + k.Secret }

// String leaves the secret out, so that no log has it.
func (k Key) String() string { return k.UUID + ":…" }

// LogValue leaves the secret out.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// Identity is who asks, found by a key.
type Identity struct {
	Subject   string
	Namespace EntityName
	UUID      string // of the key, and of the namespace
	Limits    UserLimits
}

// UserLimits are the limits of a subject that differ from the installation's;
// nil is the installation's.
type UserLimits struct {
	InvocationsPerMinute  *int   `json:"invocationsPerMinute,omitempty"`
	ConcurrentInvocations *int   `json:"concurrentInvocations,omitempty"`
	FiresPerMinute        *int   `json:"firesPerMinute,omitempty"`
	AllowedKinds          []Kind `json:"allowedKinds,omitempty"`
	StoreActivations      *bool  `json:"storeActivations,omitempty"`
	MaxActionMemory       *int   `json:"maxActionMemory,omitempty"`  // MB
	MinActionMemory       *int   `json:"minActionMemory,omitempty"`  // MB
	MaxActionLogs         *int   `json:"maxActionLogs,omitempty"`    // MB
	MinActionLogs         *int   `json:"minActionLogs,omitempty"`    // MB
	MaxActionTimeout      *int   `json:"maxActionTimeout,omitempty"` // milliseconds
	MinActionTimeout      *int   `json:"minActionTimeout,omitempty"` // milliseconds
	MaxActionConcurrency  *int   `json:"maxActionConcurrency,omitempty"`
	MinActionConcurrency  *int   `json:"minActionConcurrency,omitempty"`
}

// Records reports whether the activations of the subject are recorded.
func (l UserLimits) Records() bool { return l.StoreActivations == nil || *l.StoreActivations }
