package config

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// The types of this file are the config language as JSON, field by field what package schemas allows. Load decodes
// into them over their defaults, and Effective encodes them.

type file struct {
	APIVersion     string                     `json:"apiVersion"`
	LeaderElection fileElection               `json:"leaderElection"`
	Engine         *fileEngine                `json:"engine,omitempty"`
	Controllers    map[string]*fileController `json:"controllers"`
}

// fileElection is "disabled" or an object.
type fileElection struct {
	disabled bool
	fields   electionFields
}

type electionFields struct {
	Name          string `json:"name"`
	Namespace     string `json:"namespace,omitempty"`
	LeaseDuration string `json:"leaseDuration"`
	RenewDeadline string `json:"renewDeadline"`
	RetryPeriod   string `json:"retryPeriod"`
	OnLost        OnLost `json:"onLost"`
	Lock          Lock   `json:"lock"`
}

type fileEngine struct {
	MaxConcurrent int `json:"maxConcurrent,omitempty"`
}

type fileController struct {
	Watch          fileWatch                  `json:"watch"`
	Ignore         []string                   `json:"ignore,omitempty"`
	Where          *string                    `json:"where,omitempty"`
	Handler        map[string]json.RawMessage `json:"handler"`
	Mode           Mode                       `json:"mode"`
	Workers        *int                       `json:"workers,omitempty"`
	Resync         string                     `json:"resync"`
	Retry          fileRetry                  `json:"retry"`
	Rate           *fileRate                  `json:"rate,omitempty"`
	Timeout        string                     `json:"timeout"`
	LeaderElection string                     `json:"leaderElection"`
	Paused         bool                       `json:"paused"`
}

type fileWatch struct {
	APIVersion    string        `json:"apiVersion"`
	Kind          string        `json:"kind"`
	Namespaces    []string      `json:"namespaces,omitempty"`
	LabelSelector *fileSelector `json:"labelSelector,omitempty"`
	FieldSelector *fileSelector `json:"fieldSelector,omitempty"`
}

// fileSelector is a text or an object.
type fileSelector struct {
	text   string
	object *selectorFields
}

type selectorFields struct {
	MatchLabels      map[string]string `json:"matchLabels,omitempty"`
	MatchFields      map[string]string `json:"matchFields,omitempty"`
	MatchExpressions []requirement     `json:"matchExpressions,omitempty"`
}

type requirement struct {
	Key      string   `json:"key"`
	Operator string   `json:"operator"`
	Values   []string `json:"values,omitempty"`
}

type fileRetry struct {
	MaxRetries   retryCount `json:"maxRetries"`
	InitialDelay string     `json:"initialDelay"`
	MaxDelay     string     `json:"maxDelay"`
}

type fileRate struct {
	PerSecond float64 `json:"perSecond"`
	Burst     *int    `json:"burst,omitempty"`
}

// retryCount is "unlimited", which is -1, or a number.
type retryCount int

const unlimited = -1

const (
	apiVersion = "kooperd.dev/v1alpha1"
	disabled   = "disabled"
	required   = "required"
	off        = "off"

	defaultWorkers = 3
	defaultBurst   = 1
)

// defaultFile has every default of the language outside of definitions.
func defaultFile() *file {
	return &file{LeaderElection: fileElection{fields: electionFields{
		Name: "kooperd", LeaseDuration: "15s", RenewDeadline: "10s", RetryPeriod: "2s",
		OnLost: Exit, Lock: LeaseLock,
	}}}
}

// defaultController has every default of a definition. Workers is the exception, because a definition that is
// sequential must not have it.
func defaultController() fileController {
	return fileController{
		Mode:           Sequential,
		Resync:         off,
		Retry:          fileRetry{MaxRetries: unlimited, InitialDelay: "5ms", MaxDelay: "5m"},
		Timeout:        "1m",
		LeaderElection: required,
	}
}

// decodeFile reads JSON that the schema has accepted. An error means that schema and types disagree.
func decodeFile(text []byte) (*file, error) {
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

func (e *fileElection) UnmarshalJSON(text []byte) error {
	if text[0] == '"' {
		e.disabled = true
		return nil
	}
	return decodeStrict(text, &e.fields)
}

func (e fileElection) MarshalJSON() ([]byte, error) {
	if e.disabled {
		return json.Marshal(disabled)
	}
	return json.Marshal(e.fields)
}

func (c *fileController) UnmarshalJSON(text []byte) error {
	type plain fileController
	p := plain(defaultController())
	if err := decodeStrict(text, &p); err != nil {
		return err
	}
	*c = fileController(p)
	return nil
}

func (s *fileSelector) UnmarshalJSON(text []byte) error {
	if text[0] == '"' {
		return json.Unmarshal(text, &s.text)
	}
	s.object = &selectorFields{}
	return decodeStrict(text, s.object)
}

func (s fileSelector) MarshalJSON() ([]byte, error) {
	if s.object != nil {
		return json.Marshal(s.object)
	}
	return json.Marshal(s.text)
}

func (n *retryCount) UnmarshalJSON(text []byte) error {
	if text[0] == '"' {
		*n = unlimited
		return nil
	}
	return json.Unmarshal(text, (*int)(n))
}

func (n retryCount) MarshalJSON() ([]byte, error) {
	if n < 0 {
		return json.Marshal("unlimited")
	}
	return json.Marshal(int(n))
}
