package language

import utiljson "k8s.io/apimachinery/pkg/util/json"

// Kind declares a custom kind.
type Kind struct {
	Group        string                  `json:"group"`
	Scope        string                  `json:"scope,omitempty"`
	Plural       string                  `json:"plural,omitempty"`
	Singular     string                  `json:"singular,omitempty"`
	ListKind     string                  `json:"listKind,omitempty"`
	ShortNames   []string                `json:"shortNames,omitempty"`
	Categories   []string                `json:"categories,omitempty"`
	Labels       map[string]string       `json:"labels,omitempty"`
	Annotations  map[string]string       `json:"annotations,omitempty"`
	Columns      *[]Column               `json:"columns,omitempty"`
	Subresources *Subresources           `json:"subresources,omitempty"`
	Versions     map[string]*KindVersion `json:"versions"`
}

// KindVersion is one version of a custom kind. A schema in CUE is no JSON, and so is no part of it.
type KindVersion struct {
	Served             *bool         `json:"served,omitempty"`
	Storage            *bool         `json:"storage,omitempty"`
	Deprecated         bool          `json:"deprecated,omitempty"`
	DeprecationWarning *string       `json:"deprecationWarning,omitempty"`
	OpenAPIV3Schema    OpenAPISchema `json:"openAPIV3Schema,omitempty"`
	Validations        []Validation  `json:"validations,omitempty"`
	Columns            *[]Column     `json:"columns,omitempty"`
	Subresources       *Subresources `json:"subresources,omitempty"`
	SelectableFields   []string      `json:"selectableFields,omitempty"`
}

// OpenAPISchema is a schema as decoded JSON: whole numbers are int64, others float64.
type OpenAPISchema map[string]any

// UnmarshalJSON reads one.
func (s *OpenAPISchema) UnmarshalJSON(text []byte) error {
	return utiljson.Unmarshal(text, (*map[string]any)(s))
}

// Validation is a rule on a value.
type Validation struct {
	Path              string `json:"path,omitempty"`
	Rule              string `json:"rule"`
	Message           string `json:"message,omitempty"`
	MessageExpression string `json:"messageExpression,omitempty"`
	Reason            string `json:"reason,omitempty"`
	FieldPath         string `json:"fieldPath,omitempty"`
	OptionalOldSelf   bool   `json:"optionalOldSelf,omitempty"`
}

// Column is a column of kubectl get.
type Column struct {
	Name        string `json:"name"`
	JSONPath    string `json:"jsonPath"`
	Type        string `json:"type,omitempty"`
	Description string `json:"description,omitempty"`
	Format      string `json:"format,omitempty"`
	Priority    int32  `json:"priority,omitempty"`
}

// Subresources are the parts of objects that are written apart.
type Subresources struct {
	Status *bool  `json:"status,omitempty"`
	Scale  *Scale `json:"scale,omitempty"`
}

// Scale says where an object has its replicas.
type Scale struct {
	SpecReplicasPath   string `json:"specReplicasPath"`
	StatusReplicasPath string `json:"statusReplicasPath"`
	LabelSelectorPath  string `json:"labelSelectorPath,omitempty"`
}

// DecodeKinds reads the JSON of kinds that the schema has accepted.
func DecodeKinds(text []byte) (map[string]*Kind, error) {
	var kinds map[string]*Kind
	if err := decodeStrict(text, &kinds); err != nil {
		return nil, err
	}
	return kinds, nil
}
