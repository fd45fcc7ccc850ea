package hook

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
)

// Validate checks what the schema cannot say, as handlers.Plugin wants it. Paths are those of a
// config that embeds c. hooks are those that the config has.
func Validate(c Config, hooks Hooks) []handlers.Problem {
	v := &validator{}
	if c.GenerateSelector && c.shape() == Decorator {
		v.add("generateSelector", "the attachments of a decorator have no selector", "leave it out")
	}
	for i, child := range c.Children {
		same := func(other Child) bool { return other.groupKind() == child.groupKind() }
		v.child(fmt.Sprintf("children[%d]", i), child, slices.IndexFunc(c.Children[:i], same))
	}
	v.rolling(c)
	for i, read := range c.Reads {
		v.read(fmt.Sprintf("reads[%d]", i), read)
	}
	if hooks.Customize && len(c.Reads) == 0 {
		v.add("customize", "what it asks for has to be among reads, and there are none", `say for example reads: [{apiVersion: "v1", kind: "ConfigMap"}]`)
	}
	return v.problems
}

// validator collects problems.
type validator struct{ problems []handlers.Problem }

func (v *validator) add(path, message, hint string) {
	v.problems = append(v.problems, handlers.Problem{Path: path, Message: message, Hint: hint})
}

func (c Child) groupKind() schema.GroupKind {
	return schema.FromAPIVersionAndKind(c.APIVersion, c.Kind).GroupKind()
}

// child checks one kind of children. first is the index of another one of the same, or -1.
func (v *validator) child(path string, c Child, first int) {
	if !v.kind(path, c.APIVersion, c.Kind) {
		return
	}
	if first >= 0 {
		v.add(path, fmt.Sprintf("children[%d] is the same kind", first), "keep one of them")
	}
	if c.AllowDataLoss && c.Update != handlers.UpdateRecreate && c.Update != RollingRecreate {
		v.add(path+".allowDataLoss", `is for update: "recreate"`, "leave it out")
	}
	if c.Adopt == handlers.AdoptNever && len(c.AdoptFrom) > 0 {
		v.add(path+".adoptFrom", `has field managers, and adopt is "never"`, "keep one of both")
	}
	for i, manager := range c.AdoptFrom {
		if manager == "" || manager == "*" {
			v.add(fmt.Sprintf("%s.adoptFrom[%d]", path, i), fmt.Sprintf("%q is no field manager", manager), `name them, or how they begin, as in "helm*"`)
		}
	}
}

// rolling checks what is said of updates that move one child at a time.
func (v *validator) rolling(c Config) {
	ofRevisions := schema.FromAPIVersionAndKind(revisionAPIVersion, revisionKind).GroupKind()
	for i, child := range c.Children {
		path := fmt.Sprintf("children[%d]", i)
		switch {
		case len(child.StatusChecks) > 0 && !child.rolls():
			v.add(path+".statusChecks", `are for update: "rollingInPlace" and "rollingRecreate"`, "leave them out")
		case child.rolls() && c.shape() == Decorator:
			v.add(path+".update", "the attachments of a decorator have no revisions", `want for example "inPlace"`)
		case c.rolls() && child.groupKind() == ofRevisions:
			v.add(path+".kind", "kooperd keeps the revisions of the object in objects of this kind", "leave it out")
		}
	}
	if c.RevisionHistory == nil {
		return
	}
	if !c.rolls() {
		v.add("revisionHistory", `is for children with update: "rollingInPlace" or "rollingRecreate", and there are none`, "leave it out")
	}
	if c.RevisionHistory.FieldPaths != nil && len(c.RevisionHistory.FieldPaths) == 0 {
		v.add("revisionHistory.fieldPaths", "want at least one field", `for example "spec"`)
	}
	if namespace := c.RevisionHistory.Namespace; namespace != "" {
		if wrong := validation.IsDNS1123Label(namespace); len(wrong) > 0 {
			v.add("revisionHistory.namespace", fmt.Sprintf("%q is no name of a namespace", namespace), wrong[0])
		}
	}
	for i, path := range c.RevisionHistory.FieldPaths {
		steps := strings.Split(path, ".")
		if slices.Contains(steps, "") || steps[0] == "metadata" || steps[0] == "status" {
			v.add(fmt.Sprintf("revisionHistory.fieldPaths[%d]", i), fmt.Sprintf("%q cannot make a revision", path), `want a field such as "spec.template"`)
		}
	}
}

// read checks one kind of related objects.
func (v *validator) read(path string, r Read) {
	if !v.kind(path, r.APIVersion, r.Kind) {
		return
	}
	v.selector(path+".labelSelector", r.LabelSelector)
	if r.Namespace != "" && r.SameNamespace {
		v.add(path+".sameNamespace", "namespace says where the objects are", "keep one of both")
	}
	if r.NamespaceSelector == nil {
		return
	}
	if v.selector(path+".namespaceSelector", *r.NamespaceSelector); r.Namespace != "" || r.SameNamespace {
		v.add(path+".namespaceSelector", "namespace and sameNamespace say where the objects are", "keep one of them")
	}
}

// selector checks a label selector; an empty one selects everything.
func (v *validator) selector(path, text string) {
	if _, err := metav1.ParseToLabelSelector(text); err != nil {
		v.add(path, err.Error(), `want it as kubectl writes it, such as "app=web"`)
	}
}

// kind checks the names of a kind, and that Kubernetes has it if its group is closed.
func (v *validator) kind(path, apiVersion, kind string) bool {
	before := len(v.problems)
	gv, err := schema.ParseGroupVersion(apiVersion)
	switch {
	case err != nil || gv.Version == "":
		v.add(path+".apiVersion", fmt.Sprintf("%q is no apiVersion", apiVersion), `for example "apps/v1"`)
	case kind == "":
		v.add(path+".kind", "want a kind", `for example "Deployment"`)
	default:
		_, err := kinds.BuiltIn().Lookup(gv.WithKind(kind))
		if missing, ok := errors.AsType[*kinds.NotServedError](err); ok {
			v.add(path+".kind", missing.Reason(), missing.Hint)
		}
	}
	return len(v.problems) == before
}
