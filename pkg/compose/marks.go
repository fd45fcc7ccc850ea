package compose

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// FieldManager is the field manager of all children. The marks say which definition of which
// installation they belong to, so a child can move between definitions by one apply.
const FieldManager = "kooperd"

// The marks of a child.
const (
	// InstallationLabel is the installation that made the child, see Installation.
	InstallationLabel = "kooperd.dev/installation"
	// DefinitionLabel is the id of the definition that made the child.
	DefinitionLabel = "kooperd.dev/definition"
	// ParentUIDLabel is the UID of the object that the child was made for.
	ParentUIDLabel = "kooperd.dev/parent-uid"
	// ParentAnnotation is the namespace and name of that object, as namespace/name, or the name
	// alone.
	ParentAnnotation = "kooperd.dev/parent"
	// ChildAnnotation is the child's name within its parent.
	ChildAnnotation = "kooperd.dev/child"
	// AppliedAnnotation is a hash of what was applied.
	AppliedAnnotation = "kooperd.dev/applied"
	// AdoptedAnnotation is "true" on a child that was made by others.
	AdoptedAnnotation = "kooperd.dev/adopted"
	// AfterAnnotation has the children that the child comes after, as a JSON list, where a deletion
	// goes by the order.
	AfterAnnotation = "kooperd.dev/after"
	// PruneAnnotation is "true" on a child of a protected kind that may be pruned.
	PruneAnnotation = "kooperd.dev/prune"
)

// The names of all marks.
var (
	markLabels      = []string{InstallationLabel, DefinitionLabel, ParentUIDLabel}
	markAnnotations = []string{ParentAnnotation, ChildAnnotation, AppliedAnnotation, PruneAnnotation, AdoptedAnnotation, AfterAnnotation}
)

// IsMark reports whether a label or annotation of that name is a mark of a child, or of an object
// that is patched.
func IsMark(name string) bool {
	return slices.Contains(markLabels, name) || slices.Contains(markAnnotations, name) || strings.HasSuffix(name, patchedSuffix)
}

// Installation names an installation of kooperd by its lease. It is a valid label value, and a
// valid label of a DNS name.
func Installation(leaseNamespace, leaseName string) string {
	sum := sha256.Sum256([]byte(leaseNamespace + "/" + leaseName))
	return "i" + hex.EncodeToString(sum[:8])
}

// finalizerDomain is that of all finalizers of parents.
const finalizerDomain = "kooperd.dev"

// FinalizerOf is the finalizer that a definition puts on parents whose children the garbage
// collector cannot delete.
func FinalizerOf(installation, definition string) string {
	return installation + "." + finalizerDomain + "/" + definition
}

// marks are what a child says of itself.
type marks struct {
	after                      []string // where a deletion goes by the order
	installation, definition   string
	parentUID                  types.UID
	parent, child, applied     string
	prune, adopted             bool
	hasInstallation, hasParent bool
}

func marksOf(m *metav1.ObjectMeta) marks {
	found := marks{
		definition: m.Labels[DefinitionLabel], parent: m.Annotations[ParentAnnotation], child: m.Annotations[ChildAnnotation],
		applied: m.Annotations[AppliedAnnotation], prune: m.Annotations[PruneAnnotation] == "true",
		adopted: m.Annotations[AdoptedAnnotation] == "true",
	}
	if text, ok := m.Annotations[AfterAnnotation]; ok {
		found.after = rememberedOrder(text)
	}
	found.installation, found.hasInstallation = m.Labels[InstallationLabel]
	uid, hasParent := m.Labels[ParentUIDLabel]
	found.parentUID, found.hasParent = types.UID(uid), hasParent
	return found
}
