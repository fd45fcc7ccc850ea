package language

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// The types of this file are the config language as JSON, field by field what package schemas
// allows. Load decodes into them over their defaults, and Effective encodes them.

// File is a whole config.
type File struct {
	APIVersion     string                 `json:"apiVersion"`
	LeaderElection LeaderElection         `json:"leaderElection"`
	Engine         *Engine                `json:"engine,omitempty"`
	Controllers    map[string]*Controller `json:"controllers"`
	Removed        []string               `json:"removed,omitempty"`
	Kinds          map[string]*Kind       `json:"kinds,omitempty"`
}

// LeaderElection is "disabled" or an object.
type LeaderElection struct {
	Disabled bool
	Fields   LeaderElectionFields
}

// LeaderElectionFields is the object form of LeaderElection.
type LeaderElectionFields struct {
	Name          string `json:"name"`
	Namespace     string `json:"namespace,omitempty"`
	LeaseDuration string `json:"leaseDuration"`
	RenewDeadline string `json:"renewDeadline"`
	RetryPeriod   string `json:"retryPeriod"`
	OnLost        string `json:"onLost"`
	Lock          string `json:"lock"`
}

// Engine limits what all definitions do together.
type Engine struct {
	MaxConcurrent int `json:"maxConcurrent,omitempty"`
}

// Controller is a definition.
type Controller struct {
	Watch          Watch                      `json:"watch"`
	Ignore         []string                   `json:"ignore,omitempty"`
	Where          *string                    `json:"where,omitempty"`
	Handler        map[string]json.RawMessage `json:"handler"`
	Mode           string                     `json:"mode"`
	Workers        *int                       `json:"workers,omitempty"`
	Resync         string                     `json:"resync"`
	Retry          Retry                      `json:"retry"`
	Rate           *Rate                      `json:"rate,omitempty"`
	Timeout        string                     `json:"timeout"`
	LeaderElection string                     `json:"leaderElection"`
	Finalizer      string                     `json:"finalizer,omitempty"`
	Children
	Paused bool `json:"paused"`
}

// Children is what only the definition of a composer says.
type Children struct {
	Status          string   `json:"status,omitempty"`
	ConditionPrefix string   `json:"conditionPrefix,omitempty"`
	ID              string   `json:"id,omitempty"`
	OnRemove        string   `json:"onRemove,omitempty"`
	Formerly        []string `json:"formerly,omitempty"`
	Rollout         *Rollout `json:"rollout,omitempty"`
}

// Rollout bounds how many objects are changed at a time.
type Rollout struct {
	MaxUnavailable Share      `json:"maxUnavailable,omitempty"`
	PauseWhen      *PauseWhen `json:"pauseWhen,omitempty"`
}

// PauseWhen stops a rollout.
type PauseWhen struct {
	NotReady   Share  `json:"notReady,omitempty"`
	LongerThan string `json:"longerThan,omitempty"`
}

// Share is a number, or a percentage as text: "10%". It is empty where the file does not have it.
type Share string

// Watch names the objects of a definition.
type Watch struct {
	APIVersion    string    `json:"apiVersion"`
	Kind          string    `json:"kind"`
	Namespaces    []string  `json:"namespaces,omitempty"`
	LabelSelector *Selector `json:"labelSelector,omitempty"`
	FieldSelector *Selector `json:"fieldSelector,omitempty"`
}

// Selector is a text or an object.
type Selector struct {
	Text   string
	Object *SelectorFields
}

// SelectorFields is the object form of a label or field selector.
type SelectorFields struct {
	MatchLabels      map[string]string `json:"matchLabels,omitempty"`
	MatchFields      map[string]string `json:"matchFields,omitempty"`
	MatchExpressions []Requirement     `json:"matchExpressions,omitempty"`
}

// Requirement is one expression of a selector.
type Requirement struct {
	Key      string   `json:"key"`
	Operator string   `json:"operator"`
	Values   []string `json:"values,omitempty"`
}

// Retry says what follows a failed call.
type Retry struct {
	MaxRetries   RetryCount `json:"maxRetries"`
	InitialDelay string     `json:"initialDelay"`
	MaxDelay     string     `json:"maxDelay"`
}

// Rate limits how often a definition handles objects.
type Rate struct {
	PerSecond float64 `json:"perSecond"`
	Burst     *int    `json:"burst,omitempty"`
}

// RetryCount is "unlimited", which is -1, or a number.
type RetryCount int

const unlimited = -1

// Words of the language, and defaults that depend on other fields.
const (
	APIVersion = "kooperd.dev/v1alpha1"
	Disabled   = "disabled"
	Required   = "required"
	Off        = "off"
	StatusOwn  = "own"
	StatusNone = "none"

	DefaultWorkers = 3
	DefaultBurst   = 1

	DefaultLongerThan = 10 * time.Minute
)

// defaultFile has every default of the language outside of definitions.
func defaultFile() *File {
	return &File{LeaderElection: LeaderElection{Fields: LeaderElectionFields{
		Name: "kooperd", LeaseDuration: "15s", RenewDeadline: "10s", RetryPeriod: "2s",
		OnLost: "exit", Lock: "lease",
	}}}
}

// defaultController has every default of a definition. Workers is the exception, because a
// definition that is sequential must not have it.
func defaultController() Controller {
	return Controller{
		Mode:           "sequential",
		Resync:         Off,
		Retry:          Retry{MaxRetries: unlimited, InitialDelay: "5ms", MaxDelay: "5m"},
		Timeout:        "1m",
		LeaderElection: Required,
	}
}

// Decode reads JSON that the schema has accepted. An error means that schema and types disagree.
func Decode(text []byte) (*File, error) {
	f := defaultFile()
	if err := decodeStrict(text, f); err != nil {
		return nil, fmt.Errorf("decoding the config: %w", err)
	}
	return f, nil
}

func decodeStrict(text []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	return dec.Decode(into)
}

// UnmarshalJSON reads either form.
func (e *LeaderElection) UnmarshalJSON(text []byte) error {
	if text[0] == '"' {
		e.Disabled = true
		return nil
	}
	return decodeStrict(text, &e.Fields)
}

// MarshalJSON writes the form that was read.
func (e LeaderElection) MarshalJSON() ([]byte, error) {
	if e.Disabled {
		return json.Marshal(Disabled)
	}
	return json.Marshal(e.Fields)
}

// UnmarshalJSON reads a definition over its defaults.
func (c *Controller) UnmarshalJSON(text []byte) error {
	type plain Controller
	p := plain(defaultController())
	if err := decodeStrict(text, &p); err != nil {
		return err
	}
	*c = Controller(p)
	return nil
}

// UnmarshalJSON reads either form.
func (s *Selector) UnmarshalJSON(text []byte) error {
	if text[0] == '"' {
		return json.Unmarshal(text, &s.Text)
	}
	s.Object = &SelectorFields{}
	return decodeStrict(text, s.Object)
}

// MarshalJSON writes the form that was read.
func (s Selector) MarshalJSON() ([]byte, error) {
	if s.Object != nil {
		return json.Marshal(s.Object)
	}
	return json.Marshal(s.Text)
}

// UnmarshalJSON reads a number or "unlimited".
func (n *RetryCount) UnmarshalJSON(text []byte) error {
	if text[0] == '"' {
		*n = unlimited
		return nil
	}
	return json.Unmarshal(text, (*int)(n))
}

// MarshalJSON writes a number or "unlimited".
func (n RetryCount) MarshalJSON() ([]byte, error) {
	if n < 0 {
		return json.Marshal("unlimited")
	}
	return json.Marshal(int(n))
}

// UnmarshalJSON reads a number or a percentage.
func (s *Share) UnmarshalJSON(text []byte) error {
	if text[0] == '"' {
		return json.Unmarshal(text, (*string)(s))
	}
	var n int
	err := json.Unmarshal(text, &n)
	*s = Share(strconv.Itoa(n))
	return err
}

// MarshalJSON writes the form that was read.
func (s Share) MarshalJSON() ([]byte, error) {
	if n, err := strconv.Atoi(string(s)); err == nil {
		return json.Marshal(n)
	}
	return json.Marshal(string(s))
}
