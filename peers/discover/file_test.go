package discover

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// write replaces the file at path by a rename.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	// Its time tells nothing.
	if err := os.Chtimes(path+".new", time.Unix(1e9, 0), time.Unix(1e9, 0)); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func newFile(t *testing.T, path string) *File {
	t.Helper()
	f, err := NewFile(FileConfig{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// long is more than the wait between two readings, and for what is new to stand.
const long = DefaultFileInterval + time.Second

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "members")
	prefix := "! discover: " + path + ": "
	synctest.Test(t, func(t *testing.T) {
		write(t, path, "http://a\nhttp://b\n")
		take := watch(t, newFile(t, path))
		want(t, take(), "http://a http://b")
		for _, step := range []struct {
			name, text string
			want       []string
		}{
			{"the same", "http://a\nhttp://b\n", nil},
			{"another order and a remark", "# x\nhttp://b\nhttp://a\n", nil},
			{"one that is new", "http://a\nhttp://b\nhttp://c\n", []string{"http://a http://b http://c"}},
			{"of the same length", "http://a\nhttp://b\nhttp://d\n", []string{"http://a http://b http://d"}},
			{"bad", "http://a\nb\n", []string{prefix + "line 2: the URL \"b\" does not begin with http:// or https://"}},
			{"as bad, for the same reason", "# x\n\nb\n", []string{prefix + "line 3: the URL \"b\" does not begin with http:// or https://"}},
			{"empty", "", []string{prefix + "no members are listed: give each instance a line such as http://10.0.0.1:8080"}},
			{"good again", "http://a\nhttp://b\nhttp://d\n", []string{"http://a http://b http://d"}},
			{"too long", strings.Repeat("#", MaxFileBytes+1), []string{"! discover: " + path + " is longer than 4194304 bytes"}},
			{"good again, and other", "http://a\n", []string{"http://a"}},
		} {
			write(t, path, step.text)
			time.Sleep(long)
			t.Log(step.name)
			want(t, take(), step.want...)
			time.Sleep(10 * long)
			want(t, take())
		}
		os.Remove(path)
		time.Sleep(10 * long)
		want(t, take(), "! discover: stat "+path+": no such file or directory")
		os.Mkdir(path, 0o700)
		time.Sleep(10 * long)
		want(t, take(), "! discover: "+path+" is not a file")
		os.Remove(path)
		write(t, path, "http://a\n")
		time.Sleep(10 * long)
		want(t, take(), "http://a")
	})
}

// A ConfigMap is a folder of links through one that is replaced.
func TestFileOfAConfigMap(t *testing.T) {
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	version := func(name, text string) {
		must(os.Mkdir(filepath.Join(dir, name), 0o700))
		write(t, filepath.Join(dir, name, "members"), text)
		must(os.Symlink(name, filepath.Join(dir, "..data_tmp")))
		must(os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	}
	version("..1", "http://a\n")
	must(os.Symlink("..data/members", filepath.Join(dir, "members")))
	synctest.Test(t, func(t *testing.T) {
		take := watch(t, newFile(t, filepath.Join(dir, "members")))
		want(t, take(), "http://a")
		version("..2", "http://b\n")
		must(os.RemoveAll(filepath.Join(dir, "..1")))
		time.Sleep(long)
		want(t, take(), "http://b")
	})
}

// A file that is written in place is believed when it has stood.
func TestFileWrittenInPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "members")
	synctest.Test(t, func(t *testing.T) {
		write(t, path, "http://a\n")
		take := watch(t, newFile(t, path))
		want(t, take(), "http://a")
		time.Sleep(DefaultFileInterval - fileSettles/2) // it is read half-way between two steps
		for text := range strings.SplitSeq(" http://b\n http://b\nhttp://c\n http://b\nhttp://c\nhttp://d\n", " ") {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			time.Sleep(fileSettles)
			want(t, take())
		}
		time.Sleep(fileSettles)
		want(t, take(), "http://b http://c http://d")
	})
}

func TestFileThatComesLater(t *testing.T) {
	path := filepath.Join(t.TempDir(), "members")
	synctest.Test(t, func(t *testing.T) {
		take := watch(t, newFile(t, path))
		want(t, take(), "! discover: stat "+path+": no such file or directory")
		write(t, path, "http://a\n")
		time.Sleep(long)
		want(t, take(), "http://a")
	})
}

// A receiver that breaks off is not asked again, whatever it was given.
func TestFileBreak(t *testing.T) {
	path := filepath.Join(t.TempDir(), "members")
	for _, text := range []string{"http://a\n", "bad"} {
		write(t, path, text)
		n := 0
		for range newFile(t, path).Members(t.Context()) {
			n++
			break
		}
		if n != 1 {
			t.Errorf("%q: %d items", text, n)
		}
	}
}

func TestNewFileNamesEveryBadField(t *testing.T) {
	_, err := NewFile(FileConfig{Interval: -1})
	for _, field := range []string{"Path", "Interval"} {
		if err == nil || !strings.Contains(err.Error(), "FileConfig."+field+" is ") {
			t.Errorf("%s is not named in: %v", field, err)
		}
	}
}
