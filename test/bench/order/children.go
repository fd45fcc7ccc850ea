package order

// parts are the children of a parent of Parts, by the ends of their names.
var parts = []string{"head", "body", "foot"}

// links are the children of a parent of Chain.
var links = []string{"first", "second", "third", "fourth", "fifth"}

// The children of a parent of Answer.
const (
	Asked    = "asked"
	Answered = "answered"
)

// Keys of the data of children.
const (
	TextKey   = "text"
	BeforeKey = "before" // the UID of the child before
	AnswerKey = "answer"
)

// Children are the children of a parent, by the ends of their names, each after those that it
// reads. An order without a graph has Parts.
func (o Order) Children() []string {
	switch o.Graph {
	case Single:
		return parts[:1]
	case Chain:
		return links
	case Answer:
		return []string{Asked, Answered}
	default:
		return parts
	}
}

// Ready is the type of the condition that says that all children of a parent are as they should be.
const Ready = "Ready"

// Spec is that of a parent.
type Spec struct {
	Text string `json:"text"`
	// Note is for the last child alone; mostly there is none.
	Note string `json:"note,omitempty"`
}

// ChildName is the name of the ConfigMap that is one part of a parent.
func ChildName(parent, part string) string { return parent + "-" + part }

// ChildData is what has to be in the ConfigMap that is one part of a parent of Parts or Single.
func (o Order) ChildData(spec Spec, part string) map[string]string {
	data := map[string]string{TextKey: part + " of " + spec.Text}
	if spec.Note != "" && part == parts[len(parts)-1] {
		data["note"] = spec.Note
	}
	if o.Extra != "" {
		data["extra"] = o.Extra
	}
	return data
}

// Observed is what has to be in the status of a parent of Parts or Single: its text, or what its
// first child says where there are templates or a hook.
func (o Order) Observed(spec Spec) string {
	if o.Graph == Parts || o.Graph == Single {
		return o.ChildData(spec, parts[0])[TextKey]
	}
	return spec.Text
}
