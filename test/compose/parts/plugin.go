package parts

import (
	"context"
	_ "embed" // for schema.cue
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/pkg/handlers"
)

//go:embed schema.cue
var schema string

// Config is the config of one composer. schema.cue describes its fields.
type Config struct {
	Children []Child        `json:"children,omitempty"`
	Status   map[string]any `json:"status,omitempty"`
	Owns     []Owns         `json:"owns,omitempty"`
	NoOwns   bool           `json:"noOwns,omitempty"`
	Reads    []Reads        `json:"reads,omitempty"`
	Relates  []Reads        `json:"relates,omitempty"`
	Patches  []Patch        `json:"patches,omitempty"`
	Patched  []Patched      `json:"patched,omitempty"`
	Pending  []string       `json:"pending,omitempty"`
	Ordered  bool           `json:"ordered,omitempty"`
	Fail     string         `json:"fail,omitempty"`

	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Removes     []string          `json:"removes,omitempty"`

	FailFor []string `json:"failFor,omitempty"`

	Unavailable []string `json:"unavailable,omitempty"`
	Wait        string   `json:"wait,omitempty"`

	PutOff    []string          `json:"putOff,omitempty"`
	PutOffFor handlers.Duration `json:"putOffFor,omitempty"`
}

// Child is one child of each parent.
type Child struct {
	Name          string             `json:"name,omitempty"`
	Object        map[string]any     `json:"object"`
	When          []string           `json:"when,omitempty"`
	After         []string           `json:"after,omitempty"`
	Formerly      []string           `json:"formerly,omitempty"`
	Drift         handlers.Drift     `json:"drift,omitempty"`
	Conflicts     handlers.Conflicts `json:"conflicts,omitempty"`
	Adopt         handlers.Adopt     `json:"adopt,omitempty"`
	AdoptFrom     []string           `json:"adoptFrom,omitempty"`
	Prune         bool               `json:"prune,omitempty"`
	ReadyBy       string             `json:"readyBy,omitempty"`
	Update        handlers.Update    `json:"update,omitempty"`
	AllowDataLoss bool               `json:"allowDataLoss,omitempty"`
	Ignore        []string           `json:"ignore,omitempty"`
	Generate      string             `json:"generate,omitempty"` // path of a field
	WhenGone      handlers.WhenGone  `json:"whenGone,omitempty"`
	Echo          bool               `json:"echo,omitempty"`
}

// Patch is what each parent contributes to another object.
type Patch struct {
	Name   string         `json:"name,omitempty"`
	Object map[string]any `json:"object"`
	When   []string       `json:"when,omitempty"`
}

// Patched is a kind of objects to which parents contribute.
type Patched struct {
	APIVersion   string `json:"apiVersion"`
	Kind         string `json:"kind"`
	AnyNamespace bool   `json:"anyNamespace,omitempty"`
	MetadataOnly bool   `json:"metadataOnly,omitempty"`
}

// Owns is a kind of children.
type Owns struct {
	APIVersion         string `json:"apiVersion"`
	Kind               string `json:"kind"`
	AnyNamespace       bool   `json:"anyNamespace,omitempty"`
	MetadataOnly       bool   `json:"metadataOnly,omitempty"`
	BlockOwnerDeletion bool   `json:"blockOwnerDeletion,omitempty"`
	RoleNames          string `json:"roleNames,omitempty"` // with commas
	Binds              string `json:"binds,omitempty"`     // a ClusterRole
}

// Reads selects objects that are read besides.
type Reads struct {
	Name          string `json:"name"`
	APIVersion    string `json:"apiVersion"`
	Kind          string `json:"kind"`
	Label         string `json:"label,omitempty"`
	ObjectNames   string `json:"objectNames,omitempty"` // with commas
	InNamespaces  string `json:"inNamespaces,omitempty"`
	SameNamespace bool   `json:"sameNamespace,omitempty"`
	ObjectName    string `json:"objectName,omitempty"`
	Namespace     string `json:"namespace,omitempty"`
	Whole         bool   `json:"whole,omitempty"`
}

// Plugin returns the plugin, whose calls go into record.
func Plugin(record *Record) handlers.Plugin[Config] {
	return handlers.Plugin[Config]{
		Name:    "parts",
		Summary: "Make listed children, for the tests of children",
		Schema:  schema,
		Defaults: func() Config {
			return Config{Owns: []Owns{{APIVersion: "v1", Kind: "ConfigMap"}}}
		},
		NewComposer: func(_ context.Context, env handlers.Env, c Config) (handlers.Composer, error) {
			made := &composer{config: c, definition: env.Definition, record: record}
			if c.Relates != nil {
				return relater{made}, nil
			}
			return made, nil
		},
		Owns:    owned,
		Ordered: func(c Config) bool { return c.Ordered },
		Reads:   func(c Config) []handlers.Related { return related(c.Reads) },
		Patches: func(c Config) []handlers.PatchedKind { return patched(c.Patched) },
		Marks:   func(c Config) bool { return len(c.Labels)+len(c.Annotations)+len(c.Removes) > 0 },
	}
}

func owned(c Config) []handlers.OwnedKind {
	if c.NoOwns {
		return nil
	}
	var kinds []handlers.OwnedKind
	for _, o := range c.Owns {
		k := handlers.OwnedKind{
			APIVersion: o.APIVersion, Kind: o.Kind, AnyNamespace: o.AnyNamespace,
			MetadataOnly: o.MetadataOnly, BlockOwnerDeletion: o.BlockOwnerDeletion,
		}
		if o.RoleNames != "" {
			k.RoleNames = strings.Split(o.RoleNames, ",")
		}
		if o.Binds != "" {
			k.Binds = []handlers.RoleRef{{Kind: "ClusterRole", Name: o.Binds}}
		}
		kinds = append(kinds, k)
	}
	return kinds
}

func patched(all []Patched) []handlers.PatchedKind {
	var kinds []handlers.PatchedKind
	for _, p := range all {
		kinds = append(kinds, handlers.PatchedKind(p))
	}
	return kinds
}

func related(all []Reads) []handlers.Related {
	var kinds []handlers.Related
	for _, r := range all {
		k := handlers.Related{
			Name: r.Name, APIVersion: r.APIVersion, Kind: r.Kind, ObjectName: r.ObjectName, Namespace: r.Namespace,
			SameNamespace: r.SameNamespace, MetadataOnly: !r.Whole,
		}
		if r.ObjectNames != "" {
			k.ObjectNames = strings.Split(r.ObjectNames, ",")
		}
		k.LabelSelector, k.NamespaceSelector = selector(r.Label), selector(r.InNamespaces)
		kinds = append(kinds, k)
	}
	return kinds
}

// selector selects by a label, as "key=value"; nil for an empty text.
func selector(label string) *metav1.LabelSelector {
	key, value, ok := strings.Cut(label, "=")
	if !ok {
		return nil
	}
	return &metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
}
