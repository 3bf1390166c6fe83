//! Temporary repositories for tests, with a fixed identity and fixed dates, so that ids are stable.

use std::cell::Cell;
use std::fs;
use std::path::Path;

pub(super) struct Sandbox {
    folder: tempfile::TempDir,
    git: git2::Repository,
    commits: Cell<i64>,
}

impl Sandbox {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = git2::RepositoryInitOptions::new();
        options.initial_head("main").external_template(false);
        let git = git2::Repository::init_opts(folder.path(), &options).unwrap();
        let mut config = git.config().unwrap();
        for (key, value) in [("core.autocrlf", "false"), ("core.excludesFile", "/dev/null")] {
            config.set_str(key, value).unwrap();
        }
        Self { folder, git, commits: Cell::new(0) }
    }

    /// With one commit: a `fleet.toml`.
    pub(super) fn with_fleet() -> Self {
        let sandbox = Self::new();
        sandbox.write("fleet.toml", "name = \"a\"");
        sandbox.commit("the fleet");
        sandbox
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn git(&self) -> &git2::Repository {
        &self.git
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(super) fn link(&self, path: &str, target: &str) {
        std::os::unix::fs::symlink(target, self.path().join(path)).unwrap();
    }

    fn signature(&self) -> git2::Signature<'static> {
        let number = self.commits.get();
        self.commits.set(number + 1);
        let time = git2::Time::new(1_767_600_000 + number * 60, 0);
        git2::Signature::new("Fleet Operator", "operator@fleet.example", &time).unwrap()
    }

    pub(super) fn commit(&self, message: &str) {
        let mut index = self.git.index().unwrap();
        index.add_all(["*"], git2::IndexAddOption::FORCE, None).unwrap();
        index.write().unwrap();
        let tree = self.git.find_tree(index.write_tree().unwrap()).unwrap();
        let parent = self.git.head().ok().map(|head| head.peel_to_commit().unwrap());
        let parents: Vec<&git2::Commit<'_>> = parent.iter().collect();
        let who = self.signature();
        self.git.commit(Some("HEAD"), &who, &who, message, &tree, &parents).unwrap();
    }

    /// A commit without parent and files.
    pub(super) fn orphan(&self, reference: &str) {
        let empty = self.git.treebuilder(None).unwrap().write().unwrap();
        let tree = self.git.find_tree(empty).unwrap();
        let who = self.signature();
        self.git.commit(Some(reference), &who, &who, "orphan", &tree, &[]).unwrap();
    }

    pub(super) fn branch(&self, name: &str) {
        let head = self.git.head().unwrap().peel_to_commit().unwrap();
        self.git.branch(name, &head, false).unwrap();
    }

    pub(super) fn rename_main(&self, name: &str) {
        let mut main = self.git.find_branch("main", git2::BranchType::Local).unwrap();
        main.rename(name, false).unwrap();
    }

    pub(super) fn checkout(&self, branch: &str) {
        self.git.set_head(&format!("refs/heads/{branch}")).unwrap();
        let mut force = git2::build::CheckoutBuilder::new();
        self.git.checkout_head(Some(force.force())).unwrap();
    }

    pub(super) fn reference(&self, name: &str, spec: &str) {
        let id = self.git.revparse_single(spec).unwrap().id();
        self.git.reference(name, id, true, "").unwrap();
    }

    pub(super) fn symbolic(&self, name: &str, target: &str) {
        self.git.reference_symbolic(name, target, true, "").unwrap();
    }

    pub(super) fn detach(&self, spec: &str) {
        self.git.set_head_detached(self.git.revparse_single(spec).unwrap().id()).unwrap();
    }

    /// As `git clone --depth 1` leaves it.
    pub(super) fn make_shallow(&self) {
        let head = self.git.head().unwrap().target().unwrap();
        fs::write(self.git.path().join("shallow"), format!("{head}\n")).unwrap();
    }

    /// Takes a file's object away, as in a damaged or partial clone.
    pub(super) fn lose_blob(&self, content: &str) {
        let id = git2::Oid::hash_object(git2::ObjectType::Blob, content.as_bytes()).unwrap();
        let id = id.to_string();
        let path = self.git.path().join("objects").join(&id[..2]).join(&id[2..]);
        fs::remove_file(path).unwrap();
    }

    pub(super) fn object_count(&self) -> usize {
        let mut count = 0;
        self.git
            .odb()
            .unwrap()
            .foreach(|_| {
                count += 1;
                true
            })
            .unwrap();
        count
    }
}
