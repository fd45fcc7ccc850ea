package page

import (
	"net/url"
	"strings"

	"kooperd.dev/kooperd/pkg/statusz"
)

// ObjectPath returns the page of an object, from the top and without a slash before it. An empty
// APIVersion is left out.
func ObjectPath(ref statusz.ObjectRef) string {
	path := "objects/" + url.PathEscape(ref.Kind) + "/"
	if ref.Namespace != "" {
		path += url.PathEscape(ref.Namespace) + "/"
	}
	path += url.PathEscape(ref.Name)
	if ref.APIVersion != "" {
		path += "?apiVersion=" + url.QueryEscape(ref.APIVersion)
	}
	return path
}

// withFormat returns the URL of the same as JSON.
func withFormat(path string) string {
	if strings.Contains(path, "?") {
		return path + "&format=json"
	}
	return path + "?format=json"
}

// objectName is an object as KIND/NAMESPACE/NAME, or KIND/NAME without a namespace.
func objectName(ref statusz.ObjectRef) string {
	if ref.Namespace == "" {
		return ref.Kind + "/" + ref.Name
	}
	return ref.Kind + "/" + ref.Namespace + "/" + ref.Name
}

func definitionPath(name string) string { return "definitions/" + url.PathEscape(name) }

// namedPath returns the page of what is named as KIND/NAMESPACE/NAME. It is empty for anything
// else, such as RESOURCE/NAMESPACE/NAME: kinds have a capital letter, and resources none.
func namedPath(name string) string {
	parts := strings.Split(name, "/")
	if len(parts) == 3 && parts[1] == "" { // no namespace
		parts = []string{parts[0], parts[2]}
	}
	if len(parts) < 2 || len(parts) > 3 || parts[0] == "" || parts[0][0] < 'A' || parts[0][0] > 'Z' {
		return ""
	}
	ref := statusz.ObjectRef{Kind: parts[0], Name: parts[len(parts)-1]}
	if len(parts) == 3 {
		ref.Namespace = parts[1]
	}
	if ref.Name == "" {
		return ""
	}
	return ObjectPath(ref)
}
