package compose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime/debug"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"kooperd.dev/kooperd/pkg/handlers"
)

var (
	errGenerate        = errors.New("generate is for the update policy createOnly")
	errGeneratedName   = errors.New("generate has changed apiVersion, kind, name or namespace")
	errGeneratePanics  = errors.New("generate has panicked; the log has where")
	errGeneratedObject = errors.New("generate has left no JSON object")
)

func checkGenerate(child handlers.Child) error {
	if child.Generate != nil && child.Policy.Update != handlers.UpdateCreateOnly {
		return errGenerate
	}
	return nil
}

// onlyMarks is the part of a child that is kept of one that is never changed: what names it, its
// marks, and its owner references.
func onlyMarks(tree map[string]any) map[string]any {
	from, kept := object(tree, "metadata"), map[string]any{}
	for _, name := range []string{"name", "namespace", "ownerReferences"} {
		if v, ok := from[name]; ok {
			kept[name] = v
		}
	}
	for of, names := range map[string][]string{"labels": markLabels, "annotations": markAnnotations} {
		texts, marks := object(from, of), map[string]any{}
		for _, name := range names {
			if text, ok := texts[name]; ok {
				marks[name] = text
			}
		}
		kept[of] = marks
	}
	return map[string]any{"apiVersion": tree["apiVersion"], "kind": tree["kind"], "metadata": runtime.DeepCopyJSON(kept)}
}

// body is what is sent to apply a child.
func (x *executor) body(ctx context.Context, op Op) ([]byte, error) {
	if op.Action != Create || op.Desired.generate == nil {
		return op.body()
	}
	generated, err := x.generated(ctx, op.Desired)
	if err != nil {
		return nil, fmt.Errorf("generating %s: %w", op.ID, err)
	}
	return Op{Desired: generated}.body()
}

// generated is the child with what Generate adds to it. That is known to nobody but the request.
func (x *executor) generated(ctx context.Context, d *Desired) (*Desired, error) {
	u := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(d.full)}
	if err := x.generate(x.secrets.inContext(ctx), d, u); err != nil {
		return nil, err
	}
	text, err := json.Marshal(u.Object)
	if err != nil {
		return nil, errGeneratedObject // The error may quote a value.
	}
	tree, err := decodeTree(text)
	if err != nil || tree == nil {
		return nil, errGeneratedObject
	}
	withoutNulls(tree)
	metadata, marks := object(tree, "metadata"), object(d.tree, "metadata")
	if tree["apiVersion"] != d.tree["apiVersion"] || tree["kind"] != d.tree["kind"] ||
		metadata["name"] != marks["name"] || metadata["namespace"] != marks["namespace"] {
		return nil, errGeneratedName
	}
	for _, field := range systemFields {
		delete(metadata, field)
	}
	maps.Copy(object(metadata, "labels"), object(marks, "labels"))
	maps.Copy(object(metadata, "annotations"), object(marks, "annotations"))
	if metadata["ownerReferences"] = marks["ownerReferences"]; marks["ownerReferences"] == nil {
		delete(metadata, "ownerReferences")
	}
	if d.ID.Kind == ofSecrets {
		x.secrets.addSource(inSecret(func() ([]byte, error) { return text, nil }))
		encodeStringData(tree)
	}
	return &Desired{ID: d.ID, tree: tree}, nil
}

// generate calls Generate. What it panics with may have in it what it has made.
func (x *executor) generate(ctx context.Context, d *Desired, u *unstructured.Unstructured) (err error) {
	defer func() {
		if recover() != nil {
			x.Logger.Error(errGeneratePanics, "generating a child", "child", d.ID.String(), "parent", x.parent.text(), "stack", string(debug.Stack()))
			err = errGeneratePanics
		}
	}()
	return d.generate(ctx, u)
}

// withoutValues is an error of the API server without what it may quote of the request.
func withoutValues(err error) error {
	status, ok := statusOf(err)
	if !ok {
		return err
	}
	said := metav1.Status{Status: metav1.StatusFailure, Code: status.Code, Reason: status.Reason}
	said.Message = fmt.Sprintf("the API server answers %d %s; what it says is left out, as it may have generated values",
		status.Code, http.StatusText(int(status.Code)))
	if status.Details != nil {
		said.Details = &metav1.StatusDetails{RetryAfterSeconds: status.Details.RetryAfterSeconds}
		var fields []string
		for _, cause := range status.Details.Causes {
			said.Details.Causes = append(said.Details.Causes, metav1.StatusCause{Type: cause.Type, Field: cause.Field})
			if cause.Field != "" {
				fields = append(fields, cause.Field)
			}
		}
		if len(fields) > 0 {
			said.Message += "; it is about " + strings.Join(fields, ", ")
		}
	}
	return &apierrors.StatusError{ErrStatus: said}
}
