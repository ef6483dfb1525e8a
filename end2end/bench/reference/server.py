"""What the rates of the server are held against: the same two answers by FastAPI and SQLAlchemy, out of the same SQLite database.

Started as `server.py DATABASE` with JWT_SECRET_KEY set. The list is one statement as the server itself asks it, after the token was read and
its session looked up; what is answered is checked and written by pydantic.
"""

import json
import os
import socket
import sys
import time
import uuid

import jwt
import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel
from sqlalchemy import Connection, create_engine, text

SECRET = os.environ["JWT_SECRET_KEY"]
ENGINE = create_engine(f"sqlite:///file:{sys.argv[1]}?mode=ro&uri=true", pool_size=10)
SESSION = text(
    "SELECT s.id, s.expires_at, u.id AS user_id, u.username, u.role, u.state FROM sessions s JOIN users u ON u.id = s.user_id "
    "WHERE s.id = :id AND s.revoked_at IS NULL"
)
LIST = text(
    """SELECT p.id, p.owner_id, o.username AS owner_username, o.full_name AS owner_full_name, p.name, p.description, p.visibility,
              p.storage_backend, p.revision, p.file_count, p.size_bytes, p.created_at, p.updated_at, m.role,
              p.languages,
              (SELECT f.created_at FROM file_versions f WHERE f.project_id = p.id AND f.revision = p.revision LIMIT 1) AS last_at,
              (SELECT f.origin FROM file_versions f WHERE f.project_id = p.id AND f.revision = p.revision LIMIT 1) AS last_origin,
              (SELECT f.created_by FROM file_versions f WHERE f.project_id = p.id AND f.revision = p.revision LIMIT 1) AS last_by,
              (SELECT COALESCE(f.author, NULLIF(u.full_name, ''), u.username) FROM file_versions f LEFT JOIN users u ON u.id = f.created_by
               WHERE f.project_id = p.id AND f.revision = p.revision LIMIT 1) AS last_name,
              (SELECT COUNT(*) FROM runs r WHERE r.project_id = p.id AND r.state IN ('queued', 'running')) AS active_runs,
              (SELECT COUNT(*) FROM change_sets s WHERE s.project_id = p.id AND s.state = 'open') AS pending_reviews
       FROM projects p JOIN users o ON o.id = p.owner_id JOIN project_members m ON m.project_id = p.id AND m.user_id = :user
       WHERE p.deleted_at IS NULL AND NOT p.importing ORDER BY p.updated_at DESC, p.id DESC LIMIT :limit"""
)


class Person(BaseModel):
    id: uuid.UUID
    name: str


class Change(BaseModel):
    origin: str
    by: Person | None


class Project(BaseModel):
    id: uuid.UUID
    name: str
    description: str
    visibility: str
    storage_backend: str
    role: str
    owner: Person
    revision: int
    file_count: int
    size_bytes: int
    active_runs: int
    pending_reviews: int
    languages: dict[str, int]
    last_change: Change | None
    created_at: int
    updated_at: int


class Page(BaseModel):
    items: list[Project]
    next_cursor: str | None


app = FastAPI()


def connection():
    with ENGINE.connect() as conn:
        yield conn


def caller(request: Request, conn: Connection = Depends(connection)) -> bytes:
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    try:
        claims = jwt.decode(token, SECRET, algorithms=["HS256"], options={"verify_aud": False})
    except jwt.InvalidTokenError as error:
        raise HTTPException(401) from error
    found = conn.execute(SESSION, {"id": uuid.UUID(claims["sid"]).bytes}).mappings().first()
    if found is None or found["state"] != "active" or found["expires_at"] < time.time() * 1e6:
        raise HTTPException(401)
    return found["user_id"]


def last_change(row) -> Change | None:
    if row["last_origin"] is None:
        return None
    return Change(origin=row["last_origin"], by=row["last_by"] and Person(id=uuid.UUID(bytes=row["last_by"]), name=row["last_name"]))


@app.get("/healthz", response_class=PlainTextResponse)
async def health() -> str:
    return "ok\n"


@app.get("/api/projects")
def projects(limit: int = 20, user: bytes = Depends(caller), conn: Connection = Depends(connection)) -> Page:
    rows = conn.execute(LIST, {"user": user, "limit": limit + 1}).mappings().all()
    items = [
        Project(
            **{name: row[name] for name in Project.model_fields if name in row and name not in ("id", "languages")},
            id=uuid.UUID(bytes=row["id"]),
            owner=Person(id=uuid.UUID(bytes=row["owner_id"]), name=row["owner_full_name"] or row["owner_username"]),
            languages=json.loads(row["languages"]),
            last_change=last_change(row),
        )
        for row in rows[:limit]
    ]
    return Page(items=items, next_cursor=items[-1].id.hex if len(rows) > limit else None)


if __name__ == "__main__":
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    print(f"listening http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False)).run(sockets=[listener])
