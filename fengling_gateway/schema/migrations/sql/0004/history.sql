-- Finding revisions by who made them.

CREATE INDEX revision_author ON fengling.revision (author, id);
