package order

// Parts are the children of a parent, by the ends of their names.
var Parts = []string{"head", "body", "foot"}

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

// ChildData is what has to be in the ConfigMap that is one part of a parent.
func (o Order) ChildData(spec Spec, part string) map[string]string {
	data := map[string]string{"text": part + " of " + spec.Text}
	if spec.Note != "" && part == Parts[len(Parts)-1] {
		data["note"] = spec.Note
	}
	if o.Extra != "" {
		data["extra"] = o.Extra
	}
	return data
}
